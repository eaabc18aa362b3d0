"""The online detector: has the level of a series changed, by how much, and is the change severe.

The method and how its false-alarm rate was measured: docs/analyzers/regression.md.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jelmon_analyzers.timeseries.online import storage
from jelmon_analyzers.timeseries.online.baseline.baseline import Baseline
from jelmon_analyzers.timeseries.online.changes import estimates
from jelmon_analyzers.timeseries.online.changes.announced import AnnouncedChanges
from jelmon_analyzers.timeseries.online.evidence.comparison import Comparator
from jelmon_analyzers.timeseries.online.evidence.coverage import Coverage
from jelmon_analyzers.timeseries.online.evidence.novelty import LEAST_SLOT, Novelty
from jelmon_analyzers.timeseries.online.evidence.scales import Scales
from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.clock import Clock
from jelmon_analyzers.timeseries.online.time_grid.layout import DAY, Layout
from jelmon_analyzers.timeseries.online.time_grid.slot_means import SlotMeans
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC, Zone
from jelmon_analyzers.timeseries.online.verdicts import Verdict, Verdicts

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_WORSE = ("up", "down", "both")
_RECENT_MINUTES = 480
_LEAST_NEW_VALUES = 3
_SMALL_DIFFERENCE = 1e-4


class OnlineDetector:
    """Judge many series that share one clock, one value per series and step.

    ``series`` is their number, ``step`` the seconds between values, ``start`` the Unix time of the first value.
    ``worse`` is the direction that alarms: ``up``, ``down`` or ``both``. Time of day and weekends are those of
    ``zone``, a name of the IANA database. Verdicts begin after three days of values.

    Raises:
        ValueError: an argument is out of range, or there is no such zone.
    """

    threshold = 1.0
    """The score from which a series alarms."""

    def __init__(self, series: int, step: float, start: float, *, worse: str = "both", zone: str = UTC) -> None:
        if series < 1:
            raise ValueError(f"series must be at least 1, got {series}")
        if worse not in _WORSE:
            raise ValueError(f"worse must be one of {', '.join(_WORSE)}, got {worse!r}")
        self.series, self.worse = series, worse
        self.layout = layout = Layout(float(step), float(start))
        self.clock = Clock(layout, Zone(zone))
        self.baseline = Baseline(layout, series)
        self._slot_means = SlotMeans(series)
        self._past = Windows(series, layout.windows, layout.references, layout.day)
        """Residuals of more than a day, with spikes held."""
        self._now = Windows(series, (1,), (1,), max(2, min(layout.day, layout.slots(_RECENT_MINUTES))))
        """Residuals of the last hours as they were."""
        long_slots = layout.slot >= LEAST_SLOT
        self._scales = Scales(series, layout.windows, layout.day, records_only=long_slots)
        self._coverage = Coverage(layout, series)
        self._comparator = Comparator(layout, series, long_slots=long_slots)
        self._novelty = Novelty(layout, series) if long_slots else None
        self._announced = AnnouncedChanges(layout, series, quiet=layout.day if long_slots else 0)
        unknown = np.full(series, np.nan)
        self._verdicts = Verdicts(np.zeros(series), unknown, unknown, unknown, np.zeros(series, dtype=bool))

    def update(self, value: float) -> Verdict:
        """Judge the next value of a detector of one series; see `update_many`."""
        score, change, lower, upper, severe = self.update_many([value])
        return Verdict(float(score[0]), float(change[0]), float(lower[0]), float(upper[0]), bool(severe[0]))

    def update_many(self, values: ArrayLike) -> Verdicts:
        """Add the next value of every series and return the verdicts.

        ``values`` has one element per series, in order; NaN and infinite values count as missing. With steps below a
        minute the verdicts are those of the last whole minute.

        Raises:
            ValueError: the shape is wrong.
        """
        raw = np.asarray(values, dtype=np.float64)
        if raw.shape != (self.series,):
            raise ValueError(f"expected {self.series} values, one per series, got shape {raw.shape}")
        raw = np.where(np.isfinite(raw), raw, np.nan)
        slot_values = self.baseline.domain.apply(raw)
        several = self.layout.ticks > 1
        if several:
            self._slot_means.add(slot_values)
        if not self.clock.next_tick():
            return self._verdicts
        if several:
            slot_values = self._slot_means.finish()
        self._verdicts = self._judge(slot_values, self._novelty.score(raw) if self._novelty is not None else None)
        if self.clock.next_slot():
            self._next_day()
        return self._verdicts

    @property
    def zone(self) -> str:
        """Name of the time zone."""
        return self.clock.zone.name

    @property
    def time(self) -> float:
        """Unix time at which the next value is due."""
        return self.clock.time

    @property
    def ready(self) -> Flags:
        """Whether each series has enough history for a verdict."""
        return self._coverage.ready

    @property
    def evidence(self) -> Floats:
        """Score that each series would have if no change had been announced before."""
        return self._comparator.evidence

    @property
    def announced(self) -> Flags:
        """Whether each series is in an announced change."""
        return self._announced.active

    @property
    def changed_at(self) -> Floats:
        """Unix time of the onset of each announced change; NaN for the other series."""
        when = self.time - self._announced.onset * self.layout.slot
        return np.where(self.announced, when, np.nan)

    def usual(self) -> tuple[Floats, Floats, Floats]:
        """Return the usual value of the last slot and the ends of the range that holds 95 % of slots.

        Each has one element per series, in its unit; NaN where a series is not ready.
        """
        slot = self.clock.last_slot
        level, count = self._past.level()
        middle = self.baseline.season.at(slot) + np.where(count > 0, level, 0.0)
        half = estimates.INTERVAL * self.baseline.noise * self.baseline.spread.at(slot)
        low, centre, high = (self.baseline.domain.invert(middle + part) for part in (-half, 0.0, half))
        return (
            np.where(self.ready, centre, np.nan),
            np.where(self.ready, low, np.nan),
            np.where(self.ready, high, np.nan),
        )

    def residuals(self, series: int, slots: int) -> Floats:
        """Return up to this many last residuals of a series, without the shape of the day, in its domain.

        They are in order of time, NaN for missing, with spikes held.
        """
        return self._past.last(min(self._past.length, slots), np.array([series]))[:, 0]

    def unit(self, series: int, value: float) -> float:
        """Return how much a series changes, in its unit, per 1 in its domain around a value."""
        domain = self.baseline.domain
        inside = domain.apply(np.full(self.series, value))
        difference = domain.invert(inside + _SMALL_DIFFERENCE) - domain.invert(inside - _SMALL_DIFFERENCE)
        return float(difference[series]) / (2 * _SMALL_DIFFERENCE)

    def save(self) -> bytes:
        """Return everything that was learned, for `load`."""
        head = {
            "series": self.series,
            "step": self.layout.step,
            "start": self.layout.start,
            "worse": self.worse,
            "zone": self.zone,
            "counters": {
                f"{prefix}{name}".rstrip("."): value
                for prefix, part in self._parts()
                for name, value in part.counters().items()
            },
        }
        return storage.pack(head, self.arrays())

    @classmethod
    def load(cls, state: bytes) -> "OnlineDetector":
        """Return a detector that continues where a saved one stopped.

        Raises:
            ValueError: the bytes are not the state of a detector, or of another version.
        """
        with storage.unpack(state) as (head, arrays):
            detector = cls(head["series"], head["step"], head["start"], worse=head["worse"], zone=head["zone"])
            for prefix, part in detector._parts():
                part.load(arrays, prefix)
                part.set_counters({name: head["counters"][f"{prefix}{name}".rstrip(".")] for name in part.counters()})
        return detector

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of everything that was learned, by name."""
        return {f"{prefix}{name}": array for prefix, part in self._parts() for name, array in part.arrays().items()}

    def rearranged(self, places: Sequence[int | None]) -> "OnlineDetector":
        """Return a detector with other series: ``places`` gives for each its index in this one, None for a new one."""
        new = type(self)(len(places), self.layout.step, self.layout.start, worse=self.worse, zone=self.zone)
        into = np.array([index for index, place in enumerate(places) if place is not None], dtype=np.intp)
        columns = np.array([place for place in places if place is not None], dtype=np.intp)
        for (_, theirs), (_, part) in zip(self._parts(), new._parts(), strict=True):
            part.copy_series(theirs, columns=columns, into=into)
            part.set_counters(theirs.counters())
        return new

    def _parts(self) -> list[tuple[str, Part]]:
        """Return every part with state, and the prefix of its names in saved state."""
        parts: list[tuple[str, Part]] = [
            ("", self.clock),
            ("", self._slot_means),
            ("", self._coverage),
            ("", self._comparator),
            ("", self.baseline.sample),
            ("domain.", self.baseline.domain),
            ("season.", self.baseline.season),
            ("spread.", self.baseline.spread),
            ("past.", self._past),
            ("now.", self._now),
            ("scales.", self._scales),
            ("events.", self._announced),
        ]
        if self._novelty is not None:
            parts.append(("novelty.", self._novelty))
        return parts

    def _judge(self, values: Floats, novelty: Floats | None) -> Verdicts:
        baseline, announced = self.baseline, self._announced
        blocks = self.clock.follow_zone()
        if blocks:
            baseline.change_clock(self.clock.day, blocks)
        day, slot = self.clock.day, self.clock.slot
        self._coverage.add(values)
        residuals = baseline.residuals(day, slot, values)
        factor = baseline.spread.at(slot)
        hold = baseline.limits(factor)
        self._push(residuals, factor, hold)

        difference, compared = self._comparator.compare(
            self._past, self._scales, self._coverage, factors=baseline.spread.over(slot), worse=self.worse
        )
        if novelty is not None:
            novelty = np.where(self.clock.tick * self.layout.step >= DAY, novelty, 0.0)
        strongest = self._comparator.strongest(difference, compared, novelty)
        was_active = announced.active.copy()
        score = announced.judge(self.evidence, strongest, self._past, self._now)
        self._scales.sample(day, slot, np.where(was_active | announced.active, np.nan, difference))

        with np.errstate(invalid="ignore"):
            size, half, reference = estimates.size(self.layout, announced, self._now, compared, hold)
            severe = self.ready & estimates.severe(
                self.layout,
                announced,
                self._now,
                compared,
                reference,
                noise=baseline.noise * factor,
                worse=self.worse,
            )
        size = np.where(self.ready, size, np.nan)
        usual = baseline.season.at(slot) + reference
        change, lower, upper = (baseline.domain.ratio(usual, size + part) for part in (0.0, -half, half))
        for series in announced.confirmed():
            self._accept(int(series))
        return Verdicts(score, change, lower, upper, severe)

    def _push(self, residuals: Floats, factor: Floats, hold: Floats) -> None:
        """Add the residuals of a slot to the windows and to the measures of noise."""
        day, slot = self.clock.day, self.clock.slot
        level, known = self._past.level()
        level = np.where(known > 0, level, 0.0)
        strays = np.clip(residuals - level, -hold, hold)
        self._past.push(level + strays)
        self._now.push(residuals)
        self.baseline.spread.add(day, slot, np.where(self.announced, np.nan, np.abs(strays)))
        self.baseline.sample.add_residuals(slot, (residuals - level) / factor)

    def _accept(self, series: int) -> None:
        """Make the level since the onset the usual one: the past moves to it, the shape of the day stays."""
        self._announced.close(series)
        slots = int(min(self._announced.onset[series], self._now.length - 1))
        since = self._now.last(slots, np.array([series]))[:, 0]
        before = self._past.compare()[3][-1, series]
        if np.isfinite(since).sum() < _LEAST_NEW_VALUES or not np.isfinite(before):
            return
        difference = float(np.nanmedian(since) - before)
        held = self.baseline.clip(series, since - difference - before)
        self._past.replace_last(series, before + held)
        self._now.replace_last(series, since - difference)
        self.baseline.shift(series, difference, day=self.clock.day, slot=self.clock.slot, slots=slots)

    def _next_day(self) -> None:
        day = self.clock.day
        self.baseline.next_day(day, self.clock.offset)
        self._scales.next_day(day)
        self._coverage.next_day(day, self._scales)
        # sums of a day of additions and subtractions carry rounding errors
        self._past.resum(slice(None))
