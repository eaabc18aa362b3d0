"""Leader election among replicas with a lease in a NATS key-value bucket.

No clocks are compared. A standby acquires the lease when the entry has not changed for the time to live by its own
clock; the holder stops relying on the lease earlier, counted from when it requested the last renewal. Every change of
holder raises the epoch, and is written only if the entry has not changed since it was read.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import KeyValueConfig
from nats.js.kv import KeyValue

from jelmon.errors import SourceError
from jelmon.nats import connection
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import STREAM

logger = logging.getLogger(__name__)

BUCKET = "jelmon_leases"
TTL_SECONDS = 6.0
_RELIABLE = 0.8
"""The fraction of the time to live for which the holder relies on its lease."""
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Record(msgspec.Struct, frozen=True):
    """The entry in the bucket. ``holder`` is empty after a release; ``note`` is data of the holder."""

    holder: str = ""
    epoch: int = 0
    note: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(Record).decode
_write = msgspec.json.Encoder().encode


def _read(value: bytes | None) -> Record:
    try:
        return _decode(value or b"{}")
    except msgspec.MsgspecError:  # written by another program, which holds the lease as long as the entry changes
        return Record("unknown")


class Lease:
    """Holds one named lease, or tries to acquire it."""

    def __init__(
        self,
        settings: NatsSettings,
        name: str,
        *,
        ttl_seconds: float = TTL_SECONDS,
        note: Callable[[], object] = lambda: None,
    ) -> None:
        """Set up the lease. ``note`` returns JSON data for the other replicas, written with each renewal."""
        self._settings = settings
        self._name = name
        self._ttl_seconds = ttl_seconds
        self._note = note
        self._holder = uuid.uuid4().hex
        self._mine = False
        self._revision = 0
        self._seen = float("-inf")  # when the entry was first seen as it is
        self._until = float("-inf")
        self._excused = float("-inf")  # when NATS was last found not to answer
        self._answered = time.monotonic()
        self._reported = False
        self.others = Record()
        """The last entry seen that is not ours."""
        self.epoch = 0
        """How many times the lease changed hands until it came to us."""

    @property
    def held(self) -> bool:
        """Whether this process leads; false before another can acquire the lease, even if NATS is unavailable."""
        return time.monotonic() < self._until

    @property
    def ours(self) -> bool:
        """Whether this replica leads, or led when NATS last answered and has not been suspended since."""
        return self.held or (self._mine and time.monotonic() < self._excused + _RELIABLE * self._ttl_seconds)

    @property
    def known(self) -> bool:
        """Whether NATS answered recently, so that the holder is known."""
        return self._revision > 0 and time.monotonic() < self._answered + 2 * self._ttl_seconds

    async def run(self) -> None:
        """Acquire and renew until cancelled, then release."""
        while True:
            try:
                client = await connection.connect(self._settings, name=f"jelmon-lease-{self._name}", patience=2.0)
                try:
                    await self._renew_until_closed(client)
                finally:
                    await client.close()
            except (*_TROUBLE, SourceError) as error:
                self._report(error)
                await asyncio.sleep(self._ttl_seconds / 6)

    async def _renew_until_closed(self, client: Client) -> None:
        bucket: KeyValue | None = None
        try:
            while True:
                asked = time.monotonic()
                if not self.ours:
                    self._mine = False  # suspended too long: ask who holds it
                try:
                    bucket = bucket or await self._bucket(client)
                    await (self._renew(bucket) if self._mine else self._read_entry(bucket))
                    self._answered, self._reported = time.monotonic(), False
                except _TROUBLE as error:
                    if client.is_closed:
                        raise
                    if isinstance(error, nats.js.errors.NotFoundError | nats.js.errors.NoStreamResponseError):
                        bucket = None  # deleted by an operator
                    if time.monotonic() < asked + _RELIABLE * self._ttl_seconds:  # else suspended during the request
                        self._excused = time.monotonic()
                    self._report(error)
                await asyncio.sleep(self._ttl_seconds / (3 if self._mine else 6))
        except asyncio.CancelledError:
            await self._release(bucket)
            raise

    async def _release(self, bucket: KeyValue | None) -> None:
        mine, self._mine, self._until = self._mine, False, float("-inf")
        if mine and bucket is not None:
            with contextlib.suppress(*_TROUBLE):  # it expires by itself
                await bucket.update(self._name, self._entry(""), last=self._revision)

    def _report(self, error: BaseException) -> None:
        if not self._reported:
            logger.warning(
                "lease cannot be acquired or renewed",
                extra={
                    "lease": self._name,
                    "error": str(error) or type(error).__name__,
                    "hint": "if NATS is up, this user lacks permissions: see docs/guides/securing.md",
                },
            )
        self._reported = True

    async def _bucket(self, client: Client) -> KeyValue:
        context = client.jetstream(timeout=self._ttl_seconds / 4)
        try:
            return await context.key_value(BUCKET)
        except nats.js.errors.BucketNotFoundError:
            replicas = 1
            with contextlib.suppress(nats.js.errors.APIError):
                replicas = (await context.stream_info(STREAM)).config.num_replicas or 1
            return await context.create_key_value(
                KeyValueConfig(bucket=BUCKET, description="which replica of a jelmon service leads", replicas=replicas)
            )

    def _entry(self, holder: str) -> bytes:
        return _write(Record(holder, self.epoch, msgspec.Raw(_write(self._note()))))

    async def _renew(self, bucket: KeyValue) -> None:
        try:
            await self._extend(bucket)
        except nats.js.errors.KeyWrongLastSequenceError:
            await self._read_entry(bucket)  # held by another replica, or by this one and the reply was lost
            if not self._mine:
                logger.warning("another replica holds the lease", extra={"lease": self._name})

    async def _extend(self, bucket: KeyValue) -> None:
        asked = time.monotonic()
        self._revision = await bucket.update(self._name, self._entry(self._holder), last=self._revision)
        self._until = asked + _RELIABLE * self._ttl_seconds

    async def _read_entry(self, bucket: KeyValue) -> None:
        """Read the entry, and acquire the lease if nobody holds it."""
        try:
            entry = await bucket.get(self._name)
        except nats.js.errors.KeyNotFoundError:
            await self._acquire(bucket, 0)
            return
        record, revision = _read(entry.value), entry.revision or 0
        if record.holder == self._holder:
            # renewed at once: what was not renewed for long is not relied on, and nobody else may have taken it
            self._mine, self._revision = True, revision
            with contextlib.suppress(nats.js.errors.KeyWrongLastSequenceError):  # read again in the next round
                await self._extend(bucket)
            return
        self._mine, self._until, self.others = False, float("-inf"), record
        if revision != self._revision:
            self._revision, self._seen = revision, time.monotonic()
        if not record.holder or time.monotonic() >= self._seen + self._ttl_seconds:
            await self._acquire(bucket, revision)

    async def _acquire(self, bucket: KeyValue, revision: int) -> None:
        asked = time.monotonic()
        epoch, self.epoch = self.epoch, max(self.epoch, self.others.epoch) + 1
        try:
            self._revision = await bucket.update(self._name, self._entry(self._holder), last=revision)
        except nats.js.errors.KeyWrongLastSequenceError:  # another replica was faster
            self.epoch = epoch
            return
        self._mine, self._until = True, asked + _RELIABLE * self._ttl_seconds
        logger.info("this replica holds the lease", extra={"lease": self._name, "epoch": self.epoch})
