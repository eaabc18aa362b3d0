"""Counts one partition: applies batches, commits them, and exposes only what is committed."""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from jelmon import catalogue as c
from jelmon.errors import EventError, JelmonError, Rejection
from jelmon.events import Event, type_of
from jelmon.nats.consumer_messages import Message
from jelmon.service.backoff import Backoff
from jelmon_exporter.counting.changes import drain, drain_all
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.counting.decoding import ParkedEvent, decode
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.restore import restore
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.state.model import Changes, Lost, Position, Unreadable
from jelmon_exporter.state.store import Claim, FellBackError, StoreUnavailableError

logger = logging.getLogger(__name__)

_MOST_LOGGED = 5
"""How many unreadable fields of a partition are named in the log."""


class UncountableError(JelmonError):
    """Counting raised an error, so that the uncommitted state must be discarded: see `PartitionCounter.count_each`."""


class PartitionCounter:
    """The state of one owned partition, from `start` until it is fenced or closed."""

    def __init__(self, partition: int, context: CountingContext, claim: Claim) -> None:
        self.partition = partition
        self._context = context
        self._claim = claim
        self._commit_time = context.process_series.cell(c.CHECKPOINT_TIME)
        self._commit_success = context.process_series.cell(c.CHECKPOINT_SUCCESS)
        self._store_up = context.process_series.cell(c.STATE_STORE_UP)
        self._backoff = Backoff(0.1, 2.0)
        self._uncommitted = False
        self._whole = False  # whether the next commit replaces everything that is stored
        self._lost_to = 0  # up to this sequence, losses are recorded
        self._lost_committed = 0
        # without stored state everything is counted again: exposed at once, that would look like a reset and a burst
        self._caught_up = context.store.name != "memory"
        self._backlog: int | None = None  # unknown
        self.position = Position()
        self.ledger = self._new_ledger()
        self._tracker = Tracker(self.ledger)

    def _new_ledger(self) -> Ledger:
        return Ledger(limits=self._context.limits.share(self._context.partitions), admission=self._context.admission)

    async def start(self) -> None:
        """Load the committed state; wait for a store that does not answer.

        Raises:
            FencedError: the partition has a newer owner.
        """
        while True:
            try:
                await self._load()
                break
            except StoreUnavailableError as error:
                await self._wait_for_store(error)
        await self.commit()

    async def roll_back(self) -> None:
        """Return to the committed state, if events were applied since."""
        while self._uncommitted:
            try:
                await self._load()
            except StoreUnavailableError as error:
                await self._wait_for_store(error)

    async def _load(self) -> None:
        snapshot = await self._context.store.load(self.partition)
        self._store_up.set(1)
        self._context.admission.release_all(self.ledger)
        self.ledger = self._new_ledger()
        unreadable = snapshot.unreadable + restore(self.ledger, snapshot)
        if unreadable:
            await self._context.store.set_aside(self.partition, unreadable)
        self._report_faults(snapshot.lost, unreadable)
        self._tracker = Tracker(self.ledger)
        self.position = snapshot.position
        self._lost_to = self._lost_committed
        self._uncommitted = False
        self._whole = bool(snapshot.lost or unreadable)  # what is stored must not be read again
        self._context.view.replace(self.partition, snapshot.series, known=self._caught_up)
        self._context.view.declare(self.partition, snapshot.declared)

    def _report_faults(self, lost: Lost | None, unreadable: list[Unreadable]) -> None:
        """Log what stored state cannot be used, and count the reset."""
        facts, place = {"partition": self.partition}, self._context.store.place
        resets = self._context.process_series
        if lost is not None:
            logger.error(
                "%s: %s; counting the partition from the start of the stream", lost.part, lost.detail, extra=facts
            )
            resets.cell(c.EXPORTER_RESETS, lost.reason).add()
        for part, name, _, detail in unreadable[:_MOST_LOGGED]:
            where = place(self.partition, part)
            logger.error("%s: field %s cannot be read, and is set aside: %s", where, name[:200], detail, extra=facts)
        if unreadable:
            logger.error("stored fields set aside: %d", len(unreadable), extra=facts)
            resets.cell(c.EXPORTER_RESETS, "unreadable").add()

    def set_backlog(self, messages: int) -> None:
        """Set how many messages were in the stream at the start; the partition has caught up after these."""
        self._backlog = messages
        self._advance(0)

    def _advance(self, messages: int) -> None:
        if not self._caught_up and self._backlog is not None:
            self._backlog -= messages
            if self._backlog <= 0:
                self._caught_up = True
                self._context.view.update(self.partition, {})

    def close(self) -> None:
        """Release label values, for other partitions of this process."""
        self._context.admission.release_all(self.ledger)

    def align_with_stream(self, stream: str, first: int, last: int) -> None:
        """Compare the position with the stream as it is now, and record what is missing.

        ``stream`` is the stream's creation time; ``first`` and ``last`` are its sequences.
        """
        position = self.position
        facts = {
            "partition": self.partition,
            "counted_to": position.sequence,
            "stream_first": first,
            "stream_last": last,
        }
        if position.sequence and (position.stream != stream or position.sequence > last):
            reason = "recreated" if position.stream != stream else "truncated"
            logger.error("stream %s: counting it from the start, except for events with known ids", reason, extra=facts)
            self.ledger.stream_changes[reason].add()
            position = replace(position, sequence=0)
            self._lost_to = 0
        elif position.sequence and first > position.sequence + 1:
            self.record_trim(first)
            position = replace(position, sequence=first - 1)
        self.position = replace(position, stream=stream)

    def record_trim(self, first: int, *, held: int = 0) -> None:
        """Record that the stream now begins at ``first``, past the position; ``held`` earlier messages are here.

        Which of the missing sequences were this partition's is unknown. It counts every sixteenth, each partition
        different ones, so that the sum is right when all partitions have counted equally far.
        """
        count, after = self._context.partitions, max(self.position.sequence, self._lost_to)
        share = (first - 1 - self.partition) // count - (after - self.partition) // count
        self.record_lost(first, max(0, share - held))

    def record_lost(self, first: int, number: int) -> None:
        """Record that the stream now begins at ``first``, and how many uncounted messages it dropped.

        Nothing is recorded twice, and nothing if the stream begins where it did.
        """
        if first <= max(self.position.sequence, self._lost_to) + 1:
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
        self._lost_to = first - 1

    def apply(self, messages: Collection[Message], arrived: float) -> list[ParkedEvent]:
        """Count the events of messages that arrived by ``arrived`` (seconds); return those that cannot be read.

        Raises:
            UncountableError: an event could not be counted.
        """
        events, unreadable = decode(messages)
        self.count(events, arrived)
        self.count_parked(parked.error for parked in unreadable)
        return unreadable

    def count_parked(self, errors: Iterable[EventError]) -> None:
        """Count events that are set aside."""
        self._uncommitted = True
        for error in errors:
            self.ledger.parked[error.reason].add()

    def count(self, events: Collection[Event], arrived: float) -> int:
        """Count events; return how many of them were not known before.

        Raises:
            UncountableError: an event could not be counted.
        """
        self._uncommitted = True
        self.ledger.now = self._context.stream_clock.bounded(arrived)
        duplicates = self.ledger.duplicate.value or 0
        try:
            self._tracker.apply(events)
        except Exception as error:
            raise _uncountable(error) from error
        return len(events) - int((self.ledger.duplicate.value or 0) - duplicates)

    async def count_each(self, events: Sequence[Event], arrived: float) -> list[bool | EventError]:
        """Count and commit events after some of them raised an error, however that showed.

        Discards what is uncommitted, then tries ever smaller groups, so that all others are counted. Returns for each
        event whether it was known before, or the error because of which it is not counted. The position stays: if
        this is interrupted, the same messages are read again, and ids tell what was counted.

        Raises:
            UncountableError: the error has nothing to do with the events.
            FencedError: the partition has a newer owner.
        """
        self._uncommitted = True
        await self.roll_back()
        await self.commit()
        return await self._count_group(events, arrived)

    async def _count_group(self, events: Sequence[Event], arrived: float) -> list[bool | EventError]:
        try:
            known: list[bool | EventError] = [self.count([event], arrived) == 0 for event in events]
            await self.commit()
            return known
        except UncountableError as error:
            await self.roll_back()
            if len(events) > 1:
                half = len(events) // 2
                first = await self._count_group(events[:half], arrived)
                return first + await self._count_group(events[half:], arrived)
            refused = EventError(
                f"{type_of(events[0])}: {error.message}",
                reason=Rejection.UNCOUNTABLE,
                hint="a fault of the exporter: report it with the event, which `jelmon dlq list --payload` prints",
            )
            self.count_parked([refused])
            await self.commit()
            return [refused]

    def _drain(self) -> Changes:
        self._uncommitted = True  # until written: what is drained is no longer in the ledger's lists
        try:
            return drain(self.ledger)
        except Exception as error:
            raise _uncountable(error) from error

    async def commit(self, sequence: int | None = None, *, messages: int = 0, check: bool = False) -> None:
        """Write the changes and the position after ``messages`` messages; return when they are stored.

        ``check``: write to a shared store even if nothing changed, as it then compares what it holds.

        Raises:
            UncountableError: an event could not be counted.
            FencedError: the partition has a newer owner.
        """
        changes = self._drain()
        if sequence is None and not changes and not self._whole and not (check and self._context.store.shared):
            self._uncommitted = False
            return
        position = replace(
            self.position,
            version=self.position.version + 1,
            sequence=self.position.sequence if sequence is None else sequence,
            time=self.ledger.now,
        )
        store, whole, started = self._context.store, self._whole, time.monotonic()
        if whole:
            changes = drain_all(self.ledger)
        while True:
            try:
                await store.commit(self.partition, claim=self._claim, position=position, changes=changes, whole=whole)
                break
            except StoreUnavailableError as error:
                await self._wait_for_store(error)
            except FellBackError as error:
                logger.warning("%s: writing the whole state again", error.message)
                changes, whole = drain_all(self.ledger), True
        self._whole = False
        self._backoff.reset()
        self._uncommitted = False
        self.position = position
        self._lost_committed = self._lost_to
        self._commit_time.observe_seconds(time.monotonic() - started)
        self._commit_success.set(self._context.clock())
        self._store_up.set(1)
        self._context.view.update(self.partition, changes.series, known=self._caught_up)
        self._context.view.declare(self.partition, changes.declared)
        self._context.view.exemplify(changes.exemplars)
        self._advance(messages)

    async def _wait_for_store(self, error: StoreUnavailableError) -> None:
        if self._store_up.value != 0:
            logger.error("%s; counting is paused, the last committed values are still exposed", error.message)
        self._store_up.set(0)
        await self._backoff.wait()


def _uncountable(error: Exception) -> UncountableError:
    return UncountableError(f"counting raised {type(error).__name__}: {str(error)[:200]}")
