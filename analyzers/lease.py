"""One of several replicas leads: whoever holds a key in a NATS bucket whose entries expire.

Replicas all follow the events, so that the next leader knows at once what the last one knew; only the leader speaks.
"""

import asyncio
import logging
import time
import uuid

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import KeyValueConfig
from nats.js.kv import KeyValue

from jelmon import jetstream
from jelmon.errors import SourceError
from jelmon.jetstream import NatsSettings

logger = logging.getLogger(__name__)

BUCKET = "jelmon_leases"
TTL_SECONDS = 15.0
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Lease:
    """Tries for ever to hold one name. ``held`` is true only while nobody else can hold it."""

    def __init__(self, settings: NatsSettings, name: str, *, ttl_seconds: float = TTL_SECONDS) -> None:
        self._settings = settings
        self._name = name
        self._ttl_seconds = ttl_seconds
        self._owner = uuid.uuid4().hex.encode()
        self._revision: int | None = None
        self._until = float("-inf")

    @property
    def held(self) -> bool:
        """Whether we lead now. It ends before the entry expires in the bucket, also when NATS is away."""
        return time.monotonic() < self._until

    async def run(self) -> None:
        """Hold or try to hold, until cancelled; then let go."""
        while True:
            try:
                client = await jetstream.connect(self._settings, name=f"jelmon-lease-{self._name}")
                try:
                    await self._keep_trying(client)
                finally:
                    await client.close()
            except (*_TROUBLE, SourceError):
                self._revision = None  # who follows the events tells what is wrong with NATS
                await asyncio.sleep(self._ttl_seconds / 3)

    async def _keep_trying(self, client: Client) -> None:
        bucket = await self._bucket(client)
        try:
            while True:
                await self._renew(bucket)
                await asyncio.sleep(self._ttl_seconds / 5)
        except asyncio.CancelledError:
            if self._revision is not None and self.held:
                await bucket.delete(self._name, last=self._revision)
            self._until = float("-inf")
            raise

    async def _bucket(self, client: Client) -> KeyValue:
        context = client.jetstream()
        try:
            return await context.key_value(BUCKET)
        except nats.js.errors.BucketNotFoundError:
            return await context.create_key_value(
                KeyValueConfig(
                    bucket=BUCKET, description="which replica of a jelmon analyzer leads", ttl=self._ttl_seconds
                )
            )

    async def _renew(self, bucket: KeyValue) -> None:
        asked = time.monotonic()
        try:
            if self._revision is None:
                self._revision = await bucket.create(self._name, self._owner)
                logger.info("this replica leads", extra={"lease": self._name})
            else:
                self._revision = await bucket.update(self._name, self._owner, last=self._revision)
            self._until = asked + 0.8 * self._ttl_seconds
        except nats.js.errors.KeyWrongLastSequenceError:
            if self._revision is not None:
                logger.warning("another replica leads now", extra={"lease": self._name})
            self._revision, self._until = None, float("-inf")
