"""Leadership among exporters with separate states: the leader exposes what it counted, the others stand by.

Each of them counts every event from its own position. A new leader exposes its counts once it has counted everything
that was in the stream when it became leader, which is at least what its predecessor had exposed.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

import msgspec
import nats.errors
import nats.js.errors

from jelmon import catalogue as c
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon.service.tasks import end
from jelmon_exporter.series.cells import Cell
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.model import Position

logger = logging.getLogger(__name__)

NAME = "exporter"
_POLL_SECONDS = 0.2
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Progress(Protocol):
    """How far the source of events has counted."""

    def positions(self) -> Mapping[int, Position]:
        """Return how far each partition is counted."""

    async def last(self) -> int | None:
        """Return the sequence of the last message in the stream; None while unknown."""

    async def has_counted(self, last: int) -> bool:
        """Return whether everything up to this sequence is counted."""


class Note(msgspec.Struct, frozen=True):
    """A leader's note to its successor: how many events it applied, and how far it counted each partition."""

    applied: int = 0
    stream: str = ""
    counted: dict[int, int] = msgspec.field(default_factory=dict)


class Leadership:
    """Elects the replica that exposes what was counted and does the work of a `Singleton`."""

    seconds = 1.0
    """How often to check who leads."""

    def __init__(self, settings: NatsSettings, view: View, resets: Cell) -> None:
        self._view = view
        self._resets = resets
        self._progress: Progress | None = None
        self._positions: Mapping[int, Position] = {}
        self._exposed = False
        self.lease = Lease(settings, NAME, note=self._note)

    @property
    def exposes(self) -> bool:
        """Whether this replica exposes what was counted."""
        return self._exposed and self.lease.ours

    def state(self) -> tuple[bool, str]:
        """Return whether this replica is healthy, as leader or standby, and a description."""
        if self.lease.ours:
            return (
                self._exposed,
                "exposes the counts" if self._exposed else "becoming leader: counting the rest of the stream",
            )
        known = self.lease.known
        return (
            known,
            "standby: another replica exposes the counts" if known else "NATS does not say which replica leads",
        )

    async def elected(self) -> bool:
        """Return whether this replica leads, or the leader is unknown."""
        return self.lease.ours or not self.lease.known

    async def release(self) -> None:
        """Do nothing: the lease ends with `run`."""

    def was_parked(self, partition: int, sequence: int, stream: str) -> bool:
        """Return whether the leader, or our predecessor, has already parked a message that cannot be read."""
        note = self._predecessor()
        return stream == note.stream and sequence <= note.counted.get(partition, 0)

    def _predecessor(self) -> Note:
        try:
            return msgspec.json.decode(self.lease.others.note, type=Note | None) or Note()
        except msgspec.MsgspecError:  # of another version of this program
            return Note()

    def _note(self) -> Note:
        if self._progress is not None:
            self._positions = self._progress.positions() or self._positions  # none are left while stopping
        positions = self._positions
        streams = {position.stream for position in positions.values()} or {""}
        counted = {partition: position.sequence for partition, position in positions.items()}
        return Note(self._applied(), max(streams), counted if len(streams) == 1 else {})

    def _applied(self) -> int:
        values = map(self._view.merged, self._view.families[c.EVENTS_APPLIED.name].values())
        return round(sum(value for value in values if isinstance(value, int | float)))

    async def run(self, progress: Progress) -> None:
        """Lead or stand by until cancelled."""
        self._progress = progress
        leasing = asyncio.create_task(self.lease.run(), name="lease")
        try:
            while not leasing.done():
                if not self.lease.ours:
                    self._exposed = False
                elif not self._exposed:
                    await self._take_over(progress)
                await asyncio.sleep(_POLL_SECONDS)
            leasing.result()
        finally:
            await end(leasing)

    async def _take_over(self, progress: Progress) -> None:
        """Count what is in the stream now, then start exposing."""
        predecessor = self._predecessor()
        try:
            last = await progress.last()
            while last is None or not self._view.complete or not await progress.has_counted(last):
                await asyncio.sleep(_POLL_SECONDS)
                if not self.lease.ours:
                    return
                last = await progress.last() if last is None else last
        except _TROUBLE as error:
            logger.debug("becoming leader is delayed", extra={"error": str(error) or type(error).__name__})
            return
        if self._applied() < predecessor.applied:
            logger.error(
                "this replica has counted fewer events than its predecessor: counters restart at lower values",
                extra={"here": self._applied(), "predecessor": predecessor.applied},
            )
            self._resets.add()
        self._exposed = True
        logger.info("this replica exposes the counts", extra={"epoch": self.lease.epoch})
