"""One partition in the hands of its owner: messages in, batches committed, and only what is committed shown."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from jelmon import catalogue as c
from jelmon.errors import EventError
from jelmon.events import Event, parse, parse_all, parse_batch, split
from jelmon.nats.consumer_messages import Message, origin
from jelmon.service.backoff import Backoff
from jelmon_exporter.counting.ledger import Ledger, Limits
from jelmon_exporter.counting.pipeline_series import Admission
from jelmon_exporter.counting.scheduling import Turns
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.replicas.leadership import Leadership
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.model import Position
from jelmon_exporter.state.store import Claim, FellBackError, StateStore, StoreUnavailableError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that cannot be read, and where it came from. ``index`` counts from 0 within a batch message."""

    payload: bytes
    error: EventError
    sequence: int
    index: int | None
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What all partitions of a process share."""

    store: StateStore
    view: View
    own: SeriesTable  # the process's own series
    limits: Limits
    admission: Admission
    partitions: int
    clock: Callable[[], float] = time.time
    leadership: Leadership | None = None  # of exporters with states of their own; None: all show what they counted
    turns: Turns = field(default_factory=Turns)


class Counting:
    """The state of one owned partition, between `begin` and the day it is fenced."""

    def __init__(self, partition: int, shop: Workshop, claim: Claim) -> None:
        self.partition = partition
        self._shop = shop
        self._claim = claim
        self._commit_time = shop.own.cell(c.CHECKPOINT_TIME)
        self._commit_success = shop.own.cell(c.CHECKPOINT_SUCCESS)
        self._store_up = shop.own.cell(c.STATE_STORE_UP)
        self._backoff = Backoff(0.1, 2.0)
        self._uncommitted = False
        self._dropped_to = 0  # up to where in the stream is noted what was dropped uncounted
        self._dropped_committed = 0
        # a store that forgets has us count everything again: shown at once, that would look like a reset and a burst
        self._caught_up = shop.store.name != "memory"
        self._backlog: int | None = None  # not known yet
        self.position = Position()
        self.ledger = self._new_ledger()
        self._tracker = Tracker(self.ledger)

    def _new_ledger(self) -> Ledger:
        return Ledger(limits=self._shop.limits.share(self._shop.partitions), admission=self._shop.admission)

    async def begin(self) -> None:
        """Take up what is committed; waits for a store that does not answer.

        Raises:
            FencedError: the partition has another owner by now.
        """
        while True:
            try:
                await self._load()
                break
            except StoreUnavailableError as error:
                await self._store_trouble(error)
        await self.commit()

    async def roll_back(self) -> None:
        """Return to what is committed, if events were applied since."""
        while self._uncommitted:
            try:
                await self._load()
            except StoreUnavailableError as error:
                await self._store_trouble(error)

    async def _load(self) -> None:
        snapshot = await self._shop.store.load(self.partition)
        self._store_up.set(1)
        self._shop.admission.leave(self.ledger)
        self.ledger = self._new_ledger()
        self.ledger.restore(snapshot)
        self._tracker = Tracker(self.ledger)
        self.position = snapshot.position
        self._dropped_to = self._dropped_committed
        self._uncommitted = False
        self._shop.view.replace(self.partition, snapshot.series, known=self._caught_up)
        self._shop.view.declare(self.partition, snapshot.declared)

    def expect(self, backlog: int) -> None:
        """Note how many messages stood in the stream before those that are new."""
        self._backlog = backlog
        self._advance(0)

    def _advance(self, messages: int) -> None:
        if not self._caught_up and self._backlog is not None:
            self._backlog -= messages
            if self._backlog <= 0:
                self._caught_up = True
                self._shop.view.update(self.partition, {})

    def end(self) -> None:
        """Let go of what other partitions of this process could use."""
        self._shop.admission.leave(self.ledger)

    def place_in(self, stream: str, first: int, last: int) -> None:
        """Compare the position with the stream as it is now, and note what is missing."""
        position = self.position
        facts = {
            "partition": self.partition,
            "counted_to": position.sequence,
            "stream_first": first,
            "stream_last": last,
        }
        if position.sequence and (position.stream != stream or position.sequence > last):
            reason = "recreated" if position.stream != stream else "truncated"
            logger.error(
                "stream %s: counted from its beginning, but for events whose ids are known", reason, extra=facts
            )
            self.ledger.stream_changes[reason].add()
            position = replace(position, sequence=0)
            self._dropped_to = 0
        elif position.sequence and first > position.sequence + 1:
            self.dropped(first)
            position = replace(position, sequence=first - 1)
        self.position = replace(position, stream=stream)

    def dropped(self, first: int, *, held: int = 0) -> None:
        """Note that the stream begins at ``first`` now, past what is counted; ``held`` messages before that are here.

        Which of the missing sequences were this partition's nobody can tell any more. It takes every sixteenth, and
        each partition others of them, so that all together are right when all are counted equally far.
        """
        count, after = self._shop.partitions, max(self.position.sequence, self._dropped_to)
        share = (first - 1 - self.partition) // count - (after - self.partition) // count
        self.vanished(first, max(0, share - held))

    def vanished(self, first: int, number: int) -> None:
        """Note that the stream begins at ``first`` now, and that so many messages waited before that to be counted.

        Nothing is noted twice, and nothing if it begins where it did.
        """
        if first <= max(self.position.sequence, self._dropped_to) + 1:
            return
        logger.error(
            "stream trimmed: it dropped events before they were counted",
            extra={
                "partition": self.partition,
                "messages": number,
                "counted_to": self.position.sequence,
                "stream_first": first,
            },
        )
        self.ledger.stream_changes["trimmed"].add()
        self.ledger.lost.add(number)
        self._dropped_to = first - 1

    def apply(self, messages: Collection[Message], arrived: float) -> list[Poison]:
        """Count the events of some messages; returns those that cannot be read."""
        poison: list[Poison] = []
        try:
            good = parse_all([payload for payload, _, _ in messages])
        except EventError:
            good = self._read_each(messages, poison)
        self.count(good, arrived)
        for one in poison:
            self.ledger.parked[one.error.reason].add()
        return poison

    def _read_each(self, messages: Collection[Message], poison: list[Poison]) -> list[Event]:
        """Read messages that may be batches, or bad."""
        good: list[Event] = []
        for message in messages:
            payload = message[0]
            try:
                if payload.startswith(b"["):
                    good += parse_batch(payload)
                else:
                    good.append(parse(payload))
            except EventError:
                self._read_slowly(message, good, poison)
        return good

    def count(self, events: Collection[Event], arrived: float) -> int:
        """Count events; returns how many of them were not known before."""
        self._uncommitted = True
        self.ledger.now = max(self.ledger.now, arrived)
        duplicates = self.ledger.duplicate.value or 0
        self._tracker.apply(events)
        return len(events) - int((self.ledger.duplicate.value or 0) - duplicates)

    def _read_slowly(self, message: Message, good: list[Event], poison: list[Poison]) -> None:
        """Take a message apart that is not good as a whole."""
        payload, subject, reply = message
        sequence = origin(reply).sequence

        def park(part: bytes, error: EventError, index: int | None) -> None:
            poison.append(Poison(part, error, sequence, index, subject.decode()))

        try:
            parts = split(payload)
        except EventError as error:
            park(payload, error, None)
            return
        for index, part in enumerate(parts):
            try:
                good.append(parse(part))
            except EventError as error:
                park(part, error, index if len(parts) > 1 else None)

    async def commit(self, sequence: int | None = None, *, messages: int = 0) -> None:
        """Write what changed and the new position, after so many messages; returns when it is stored.

        Raises:
            FencedError: the partition has another owner by now.
        """
        changes = self.ledger.take()
        if sequence is None and not changes:
            return
        position = replace(
            self.position,
            version=self.position.version + 1,
            sequence=self.position.sequence if sequence is None else sequence,
            time=self.ledger.now,
        )
        store, whole, started = self._shop.store, False, time.monotonic()
        while True:
            try:
                await store.commit(self.partition, claim=self._claim, position=position, changes=changes, whole=whole)
                break
            except StoreUnavailableError as error:
                await self._store_trouble(error)
            except FellBackError as error:
                logger.warning("%s: writing all of it anew", error.message)
                changes, whole = self.ledger.whole(), True
        self._backoff.reset()
        self._uncommitted = False
        self.position = position
        self._dropped_committed = self._dropped_to
        self._commit_time.observe_seconds(time.monotonic() - started)
        self._commit_success.set(self._shop.clock())
        self._store_up.set(1)
        self._shop.view.update(self.partition, changes.series, known=self._caught_up)
        self._shop.view.declare(self.partition, changes.declared)
        self._shop.view.exemplify(changes.exemplars)
        self._advance(messages)

    async def _store_trouble(self, error: StoreUnavailableError) -> None:
        if self._store_up.value != 0:
            logger.error("%s; counting waits, the last committed figures are still served", error.message)
        self._store_up.set(0)
        await self._backoff.wait()
