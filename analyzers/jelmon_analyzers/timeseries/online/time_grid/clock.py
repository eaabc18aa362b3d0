"""Where a detector is in time: tick, slot of the day, day, and the offset of local time."""

from collections.abc import Mapping

from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout
from jelmon_analyzers.timeseries.online.time_grid.zone import Zone


class Clock(Part):
    """Counts ticks, slots and days from the start of a layout."""

    def __init__(self, layout: Layout, zone: Zone) -> None:
        self._layout = layout
        self.zone = zone
        self.tick = self.slot = self.day = 0
        self.offset = zone.offset(layout.start)
        """Seconds by which local time is ahead of UTC."""

    def arrays(self) -> dict[str, Array]:
        return {}

    def counters(self) -> dict[str, int]:
        return {"tick": self.tick, "slot": self.slot, "day": self.day, "offset": self.offset}

    def set_counters(self, counters: Mapping[str, int]) -> None:
        self.tick, self.slot, self.day = counters["tick"], counters["slot"], counters["day"]
        self.offset = counters["offset"]

    @property
    def time(self) -> float:
        """Unix time at which the next value is due."""
        return self._layout.start + self.tick * self._layout.step

    @property
    def last_slot(self) -> int:
        """The slot of today that was judged last; 0 at the start of a day."""
        return max(0, self.slot - 1)

    def next_tick(self) -> bool:
        """Advance by a tick; return whether that completes a slot."""
        self.tick += 1
        return self.tick % self._layout.ticks == 0

    def next_slot(self) -> bool:
        """Advance by a slot; return whether a new day begins."""
        self.slot += 1
        if self.slot < self._layout.day:
            return False
        self.day, self.slot = self.day + 1, 0
        return True

    def follow_zone(self) -> int:
        """Update the offset of local time; return by how many blocks clocks went forward since the last slot."""
        layout = self._layout
        offset = self.zone.offset(layout.start + layout.slot * (self.day * layout.day + self.slot))
        if offset == self.offset:
            return 0
        blocks = round((offset - self.offset) / (layout.slot * layout.per_block))
        self.offset = offset
        return blocks if layout.seasonal else 0
