"""Of exporters that each keep a state of their own, one shows what it counted; the others count along and are ready.

Each counts every event, from its own position, so the next to lead has nothing to make good. It shows the figures when
it has counted all that stood in the stream as it took over: at least what the one before had shown.
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
_LOOK_SECONDS = 0.2
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Counted(Protocol):
    """What is asked of the source of events."""

    def positions(self) -> Mapping[int, Position]:
        """How far each partition is counted."""

    async def last(self) -> int | None:
        """The sequence of the last message in the stream; None while we cannot know."""

    async def has_counted(self, last: int) -> bool:
        """Whether everything up to this sequence is counted."""


class Note(msgspec.Struct, frozen=True):
    """What a leader tells the next one: how many events it applied, and how far each partition of a stream."""

    applied: int = 0
    stream: str = ""
    counted: dict[int, int] = msgspec.field(default_factory=dict)


class Leadership:
    """Whether it is our turn to show the figures, and to do what one replica does for all."""

    seconds = 1.0
    """How often to ask whose turn it is."""

    def __init__(self, settings: NatsSettings, view: View, resets: Cell) -> None:
        self._view = view
        self._resets = resets
        self._counted: Counted | None = None
        self._positions: Mapping[int, Position] = {}
        self._shown = False
        self.lease = Lease(settings, NAME, note=self._note)

    @property
    def shows(self) -> bool:
        """Whether we show what was counted."""
        return self._shown and self.lease.ours

    def state(self) -> tuple[bool, str]:
        """Whether we are of use, as the one that shows the figures or as one that stands by; and in words."""
        if self.lease.ours:
            return self._shown, "shows the figures" if self._shown else "takes over: counts what is left to count"
        known = self.lease.known
        return known, "stands by: another shows the figures" if known else "NATS does not say who shows the figures"

    async def ours(self) -> bool:
        """Whether we do what one replica does for all: as its leader, or because nobody can say who leads."""
        return self.lease.ours or not self.lease.known

    async def release(self) -> None:
        """The lease ends with `run`."""

    def was_parked(self, partition: int, sequence: int, stream: str) -> bool:
        """Whether the leader, or the one before us, has dealt with a message that cannot be read."""
        note = self._predecessor()
        return stream == note.stream and sequence <= note.counted.get(partition, 0)

    def _predecessor(self) -> Note:
        try:
            return msgspec.json.decode(self.lease.others.note, type=Note | None) or Note()
        except msgspec.MsgspecError:  # of another version of this program
            return Note()

    def _note(self) -> Note:
        if self._counted is not None:
            self._positions = self._counted.positions() or self._positions  # when we stop there are none any more
        positions = self._positions
        streams = {position.stream for position in positions.values()} or {""}
        counted = {partition: position.sequence for partition, position in positions.items()}
        return Note(self._applied(), max(streams), counted if len(streams) == 1 else {})

    def _applied(self) -> int:
        values = map(self._view.merged, self._view.families[c.EVENTS_APPLIED.name].values())
        return round(sum(value for value in values if isinstance(value, int | float)))

    async def run(self, counted: Counted) -> None:
        """Lead, or wait for it, until cancelled."""
        self._counted = counted
        leasing = asyncio.create_task(self.lease.run(), name="lease")
        try:
            while not leasing.done():
                if not self.lease.ours:
                    self._shown = False
                elif not self._shown:
                    await self._take_over(counted)
                await asyncio.sleep(_LOOK_SECONDS)
            leasing.result()
        finally:
            await end(leasing)

    async def _take_over(self, counted: Counted) -> None:
        """Catch up with the stream as it is now."""
        predecessor = self._predecessor()
        try:
            last = await counted.last()
            while last is None or not self._view.complete or not await counted.has_counted(last):
                await asyncio.sleep(_LOOK_SECONDS)
                if not self.lease.ours:
                    return
                last = await counted.last() if last is None else last
        except _TROUBLE as error:
            logger.debug("taking over waits", extra={"error": str(error) or type(error).__name__})
            return
        if self._applied() < predecessor.applied:
            logger.error(
                "fewer events are known here than where the figures were shown before: counters begin again lower",
                extra={"here": self._applied(), "there": predecessor.applied},
            )
            self._resets.add()
        self._shown = True
        logger.info("this replica shows the figures", extra={"epoch": self.lease.epoch})
