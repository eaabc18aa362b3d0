"""Lines that the board keeps itself: the last hour finely, the last day coarsely, in bounded memory."""

import math
from array import array
from collections.abc import Sequence

from jelmon_board.model.lines import LINES, History, Kind, Line, Span
from jelmon_board.model.samples import Key, Samples

MOST_SERIES = 20_000
"""Each takes 5 kB, so that the limit is about 100 MB."""
_NAN = math.nan
_Name = tuple[str, int, Key]  # line, number of the part, labels


class Tier:
    """A ring of slots of equal length for each series."""

    def __init__(self, step: float, slots: int) -> None:
        self.step, self.slots = step, slots
        self.last = -1
        """Number of the latest slot, counted from the epoch."""
        self._rings: dict[_Name, array[float]] = {}
        self._seen: dict[_Name, int] = {}
        self._first: dict[_Name, int] = {}

    def __len__(self) -> int:
        return len(self._rings)

    def __contains__(self, name: _Name) -> bool:
        return name in self._rings

    def advance(self, now: float) -> None:
        """Go to the slot of this time: empty those that were skipped, and forget series that are all empty."""
        slot = int(now // self.step)
        if slot == self.last:
            return
        if slot < self.last or slot - self.last >= self.slots:  # the clock went back, or a long pause
            for known in (self._rings, self._seen, self._first):
                known.clear()
        else:
            places = [number % self.slots for number in range(self.last + 1, slot + 1)]
            for name, ring in list(self._rings.items()):
                if self._seen[name] <= slot - self.slots:
                    del self._rings[name], self._seen[name], self._first[name]
                    continue
                for place in places:
                    ring[place] = _NAN
        self.last = slot

    def put(self, name: _Name, value: float) -> None:
        """Set the value of a series in the latest slot."""
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = array("d", [_NAN]) * self.slots
            self._first[name] = self.last
        ring[self.last % self.slots] = value
        self._seen[name] = self.last

    def first(self, name: _Name) -> int:
        """Return the slot in which a series appeared."""
        return self._first.get(name, self.last)

    def names(self, line: str) -> list[Key]:
        """Return the labels of all series of a line."""
        return [key for own, part, key in self._rings if own == line and part == 0]

    def values(self, name: _Name, count: int) -> list[float]:
        """Return the last values, oldest first."""
        ring = self._rings.get(name)
        if ring is None:
            return [_NAN] * count
        return [ring[number % self.slots] for number in range(self.last - count + 1, self.last + 1)]


class EmbeddedLines:
    """Keeps the lines of one exporter, or of several replicas, from its samples."""

    def __init__(self, *, most_series: int = MOST_SERIES, step: float = 15.0) -> None:
        self._most = most_series
        self._fine = Tier(step, int(3600 // step) + int(900 // step) + 1)
        self._coarse = Tier(300.0, 288 + 7)
        self.dropped = 0
        """Series that the limit kept out of the latest slot."""

    @property
    def series(self) -> int:
        """Number of series kept."""
        return len(self._fine)

    def add(self, samples: Samples, now: float) -> None:
        """Add what the services say now."""
        self._fine.advance(now)
        self._coarse.advance(now)
        dropped = 0
        for line in LINES:
            for number, part in enumerate(line.parts):
                for key, value in part.read(samples, line.metric).items():
                    name = (line.key, number, key)
                    if name not in self._fine and len(self._fine) >= self._most:
                        dropped += 1
                        continue
                    self._fine.put(name, value)
                    self._coarse.put(name, value)
        self.dropped = dropped

    async def latest(self, line: Line) -> dict[Key, float]:
        """Return the latest value of each series."""
        return {
            key: values[-1]
            for key, values in self._values(self._fine, line, count=1, window=line.window).items()
            if values[-1] == values[-1]
        }

    async def history(self, line: Line, span: Span, pipelines: tuple[str, ...] = ()) -> History:
        """Return the values within the span; it goes back a day at most."""
        tier = self._fine if span.seconds <= 3600 else self._coarse
        count = min(int(span.seconds // tier.step), tier.slots - int(span.window // tier.step))
        values = self._values(tier, line, count=count, window=span.window, pipelines=pipelines)
        return History(start=(tier.last - count + 1) * tier.step, step=tier.step, values=values)

    def _values(
        self, tier: Tier, line: Line, *, count: int, window: float, pipelines: tuple[str, ...] = ()
    ) -> dict[Key, list[float]]:
        back = max(1, int(window // tier.step))
        found: dict[Key, list[float]] = {}
        for key in tier.names(line.key):
            if pipelines and key[0] not in pipelines:
                continue
            if line.kind in (Kind.LEVEL, Kind.AGE):
                row = tier.values((line.key, 0, key), count)
                first = (tier.last - count + 1) * tier.step
                found[key] = [
                    line.combine((value,), 0, first + (place + 1) * tier.step) if value == value else _NAN
                    for place, value in enumerate(row)
                ]
                continue
            rows = [
                tier.values((line.key, number, key), min(count + back, tier.slots)) for number in range(len(line.parts))
            ]
            length = len(rows[0])
            born = tier.first((line.key, 0, key)) - (tier.last - length + 1)  # before that there is nothing to look at
            found[key] = [
                _growth(line, rows, place, max(0, born, place - back), tier.step)
                for place in range(length - count, length)
            ]
        return found


def _growth(line: Line, rows: Sequence[Sequence[float]], place: int, since: int, step: float) -> float:
    """Return the value of a line at a place, from the growth of its counters since the first place that is known."""
    if any(row[place] != row[place] for row in rows):
        return _NAN
    for earlier in range(since, place):
        growth = [row[place] - row[earlier] for row in rows]
        if any(value != value for value in growth):
            continue  # not known then
        if any(value < 0 for value in growth):
            continue  # the exporter restarted in between
        return line.combine(growth, (place - earlier) * step, 0.0)
    return _NAN
