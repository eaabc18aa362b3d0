"""One of several replicas leads: whoever's name stands in a NATS bucket, and is written there again and again.

No clocks are compared. Who waits takes over when the entry did not change for the time to live by its own clock; who
leads stops to rely on its lease before that, counted from when it asked for the last renewal. Every change of hands
raises the epoch, and is written only if the entry is still the one that was seen.
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
"""For which part of the time to live the holder relies on its lease."""
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Record(msgspec.Struct, frozen=True):
    """What stands in the bucket. ``holder`` is empty when the lease was given up; ``note`` is the holder's own."""

    holder: str = ""
    epoch: int = 0
    note: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(Record).decode
_write = msgspec.json.Encoder().encode


def _read(value: bytes | None) -> Record:
    try:
        return _decode(value or b"{}")
    except msgspec.MsgspecError:  # written by something else: it is theirs as long as it changes
        return Record("unknown")


class Lease:
    """Tries for ever to hold one name."""

    def __init__(
        self,
        settings: NatsSettings,
        name: str,
        *,
        ttl_seconds: float = TTL_SECONDS,
        note: Callable[[], object] = lambda: None,
    ) -> None:
        """``note`` gives what others may read of us while we lead; JSON."""
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
        self._troubled = False
        self.others = Record()
        """The last entry seen that is not ours."""
        self.epoch = 0
        """How many times the lease changed hands until it came to us."""

    @property
    def held(self) -> bool:
        """Whether we lead now, and nobody else can. It ends before another may take over, also when NATS is away."""
        return time.monotonic() < self._until

    @property
    def ours(self) -> bool:
        """Whether we lead, or led when NATS was last heard and have been awake since: while it is away nobody is told
        otherwise."""
        return self.held or (self._mine and time.monotonic() < self._excused + _RELIABLE * self._ttl_seconds)

    @property
    def known(self) -> bool:
        """Whether NATS answered lately: so it is known who leads."""
        return self._revision > 0 and time.monotonic() < self._answered + 2 * self._ttl_seconds

    async def run(self) -> None:
        """Hold or try to hold, until cancelled; then let go."""
        while True:
            try:
                client = await connection.connect(self._settings, name=f"jelmon-lease-{self._name}", patience=2.0)
                try:
                    await self._keep_trying(client)
                finally:
                    await client.close()
            except (*_TROUBLE, SourceError) as error:
                self._trouble(error)
                await asyncio.sleep(self._ttl_seconds / 6)

    async def _keep_trying(self, client: Client) -> None:
        bucket: KeyValue | None = None
        try:
            while True:
                asked = time.monotonic()
                if not self.ours:
                    self._mine = False  # we slept; whether it is ours still has to be asked
                try:
                    bucket = bucket or await self._bucket(client)
                    await (self._renew(bucket) if self._mine else self._look(bucket))
                    self._answered, self._troubled = time.monotonic(), False
                except _TROUBLE as error:
                    if client.is_closed:
                        raise
                    if isinstance(error, nats.js.errors.NotFoundError | nats.js.errors.NoStreamResponseError):
                        bucket = None  # somebody removed it
                    if time.monotonic() < asked + _RELIABLE * self._ttl_seconds:  # else we slept meanwhile
                        self._excused = time.monotonic()
                    self._trouble(error)
                await asyncio.sleep(self._ttl_seconds / (3 if self._mine else 6))
        except asyncio.CancelledError:
            await self._let_go(bucket)
            raise

    async def _let_go(self, bucket: KeyValue | None) -> None:
        mine, self._mine, self._until = self._mine, False, float("-inf")
        if mine and bucket is not None:
            with contextlib.suppress(*_TROUBLE):  # it runs out by itself
                await bucket.update(self._name, self._entry(""), last=self._revision)

    def _trouble(self, error: BaseException) -> None:
        if not self._troubled:
            logger.warning(
                "a lease cannot be asked for or renewed",
                extra={
                    "lease": self._name,
                    "error": str(error) or type(error).__name__,
                    "hint": "if NATS is there, this user lacks rights: see docs/guides/securing.md",
                },
            )
        self._troubled = True

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
        asked = time.monotonic()
        try:
            self._revision = await bucket.update(self._name, self._entry(self._holder), last=self._revision)
            self._until = asked + _RELIABLE * self._ttl_seconds
        except nats.js.errors.KeyWrongLastSequenceError:
            await self._look(bucket)  # another's, or ours and the answer was lost
            if not self._mine:
                logger.warning("another replica leads now", extra={"lease": self._name})

    async def _look(self, bucket: KeyValue) -> None:
        """See who holds the lease, and take it if nobody does."""
        try:
            entry = await bucket.get(self._name)
        except nats.js.errors.KeyNotFoundError:
            await self._take(bucket, 0)
            return
        record, revision = _read(entry.value), entry.revision or 0
        if record.holder == self._holder:
            self._mine, self._revision = True, revision  # renewed, and so relied on, in the next round
            return
        self._mine, self._until, self.others = False, float("-inf"), record
        if revision != self._revision:
            self._revision, self._seen = revision, time.monotonic()
        if not record.holder or time.monotonic() >= self._seen + self._ttl_seconds:
            await self._take(bucket, revision)

    async def _take(self, bucket: KeyValue, revision: int) -> None:
        asked = time.monotonic()
        epoch, self.epoch = self.epoch, max(self.epoch, self.others.epoch) + 1
        try:
            self._revision = await bucket.update(self._name, self._entry(self._holder), last=revision)
        except nats.js.errors.KeyWrongLastSequenceError:  # somebody was faster
            self.epoch = epoch
            return
        self._mine, self._until = True, asked + _RELIABLE * self._ttl_seconds
        logger.info("this replica leads", extra={"lease": self._name, "epoch": self.epoch})
