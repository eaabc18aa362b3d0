"""The online detector: is the level of a series no longer what it was, by how much, and is that severe.

The method and how its false-alarm rate was measured: docs/analyzers/regression.md.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jelmon_analyzers.timeseries.noise import GAUSSIAN
from jelmon_analyzers.timeseries.online import storage
from jelmon_analyzers.timeseries.online.baseline.domain import UNKNOWN, Domain
from jelmon_analyzers.timeseries.online.baseline.season import Season, median
from jelmon_analyzers.timeseries.online.baseline.spread import Spread
from jelmon_analyzers.timeseries.online.changes import estimates
from jelmon_analyzers.timeseries.online.changes.announced import AnnouncedChanges
from jelmon_analyzers.timeseries.online.evidence.novelty import LEAST_SLOT, Novelty
from jelmon_analyzers.timeseries.online.evidence.scales import DAYS, Scales
from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.time_grid.layout import DAY, Layout
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC, Zone

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LIMITS = {5: 6.2, 15: 5.2, 30: 5.0, 60: 4.8, 120: 4.6, 240: 4.4}
"""Minutes of a window -> how many of its own scales its mean must stray from its reference."""
LEAST_DIFFERENCE = 0.06
CLIP = 4.0
_COARSE = 2.0
"""With long slots, in which few values make a mean, the limits are so much wider; what is new is then `Novelty`'s."""
_LEAST_CLIP = 0.02
_FEW_DAYS = 0.5
_READY_DAYS = 3
_LEAST_REFERENCE = 0.3
_SCARCE = 0.9
_LEAST_EXPECTED = 1.2
_LEAST_FILLED = 0.4
_RECENT_MINUTES = 480
_KEPT_A_DAY = 288
_WORSE = ("up", "down", "both")


class Verdicts(NamedTuple):
    """One slot's answer for every series. Where there is no verdict, the score is 0 and the others are NaN or false."""

    score: Floats
    """Evidence that the level changed, in parts of the alarm threshold; 1 once per change."""
    change: Floats
    """Level now against the level before: 0.1 is 10 % more."""
    lower: Floats
    upper: Floats
    severe: Flags


class Verdict(NamedTuple):
    """`Verdicts` for one series."""

    score: float
    change: float
    lower: float
    upper: float
    severe: bool


class OnlineDetector:
    """Watches many series that share one clock; feed it one value per series and step, in order, NaN for missing.

    ``worse`` says which direction alarms: ``up``, ``down`` or ``both``. Time of day and weekend are those of ``zone``,
    a name of the IANA database. Verdicts begin after three days.
    """

    threshold = 1.0

    ARRAYS = ("total", "count", "filled", "seen", "noise", "noises", "kept", "first", "need", "ready", "evidence")

    def __init__(self, series: int, step: float, start: float, *, worse: str = "both", zone: str = UTC) -> None:
        if series < 1:
            raise ValueError(f"series must be at least 1, got {series}")
        if worse not in _WORSE:
            raise ValueError(f"worse must be one of {', '.join(_WORSE)}, got {worse!r}")
        self.layout = layout = Layout(float(step), float(start))
        self.series, self.worse, self.zone = series, worse, Zone(zone)
        self.offset = self.zone.offset(layout.start)
        """Seconds by which local time is ahead of UTC."""
        windows = np.array(layout.windows)
        coarse = layout.slot >= LEAST_SLOT
        limits = np.interp(windows * layout.slot / 60, list(LIMITS), list(LIMITS.values()))[:, None]
        self._references = np.array(layout.references)[:, None]
        self._limits = limits * (_COARSE if coarse else 1.0)
        self.domain = Domain(series)
        self.season = Season(layout, series)
        self.spread = Spread(layout, series)
        self.past = Windows(series, layout.windows, layout.references, layout.day)
        """Residuals of more than a day, spikes held."""
        self.now = Windows(series, (1,), (1,), max(2, min(layout.day, layout.slots(_RECENT_MINUTES))))
        """Residuals of the last hours as they were."""
        self.scales = Scales(series, layout.windows, layout.day, records=coarse)
        self.announced = AnnouncedChanges(layout, series, quiet=layout.day if coarse else 0)
        self.novelty = Novelty(layout, series) if coarse else None
        self.tick = self.slot = self.day = 0
        self.total, self.count = np.zeros(series), np.zeros(series)
        self.filled, self.seen = np.zeros(series), np.zeros(series)
        self.noise = np.full(series, np.nan)
        """Scale of single slots around their level."""
        self.noises = np.full((DAYS, series), np.nan)
        self._kept_gap = max(1, layout.day // _KEPT_A_DAY)
        self.kept = np.full((-(-layout.day // self._kept_gap), series), np.nan, dtype=np.float32)
        self.first = np.full(self.kept.shape, np.nan)
        self.need = np.full((len(windows), series), np.inf)
        self.ready = np.zeros(series, dtype=bool)
        """Whether there is enough history for a verdict."""
        self.evidence = np.zeros(series)
        """The score as it would be if nothing had been announced."""
        nothing = np.full(series, np.nan)
        self._verdicts = Verdicts(np.zeros(series), nothing, nothing, nothing, np.zeros(series, dtype=bool))

    def update(self, value: float) -> Verdict:
        """`update_many` for a detector of one series."""
        score, change, lower, upper, severe = self.update_many([value])
        return Verdict(float(score[0]), float(change[0]), float(lower[0]), float(upper[0]), bool(severe[0]))

    def update_many(self, values: ArrayLike) -> Verdicts:
        """Take in the next value of every series and judge.

        With steps below a minute the verdict is that of the last whole minute.
        """
        raw = np.asarray(values, dtype=np.float64)
        if raw.shape != (self.series,):
            raise ValueError(f"expected {self.series} values, one per series, got shape {raw.shape}")
        raw = np.where(np.isfinite(raw), raw, np.nan)
        if self.layout.ticks > 1:
            own = self.domain.apply(raw)
            self.total += np.nan_to_num(own)
            self.count += np.isfinite(own)
            self.tick += 1
            if self.tick % self.layout.ticks:
                return self._verdicts
            with np.errstate(invalid="ignore"):
                own = self.total / self.count
            self.total[:] = self.count[:] = 0
        else:
            self.tick += 1
            own = self.domain.apply(raw)
        self._verdicts = self._judge(own, self.novelty.score(raw) if self.novelty is not None else None)
        self.slot += 1
        if self.slot == self.layout.day:
            self._next_day()
        return self._verdicts

    @property
    def time(self) -> float:
        """Unix time at which the next value is due."""
        return self.layout.start + self.tick * self.layout.step

    @property
    def changed_at(self) -> Floats:
        """Unix time of the onset of each announced change, NaN for series that are as usual."""
        when = self.time - self.announced.onset * self.layout.slot
        return np.where(self.announced.active, when, np.nan)

    def usual(self) -> tuple[Floats, Floats, Floats]:
        """The usual value of the last slot and the range that holds 95 % of slots, in the unit of each series."""
        level, count = self.past.level()
        middle = self.season.at(max(0, self.slot - 1)) + np.where(count > 0, level, 0.0)
        half = estimates.INTERVAL * self.noise * self.spread.at(max(0, self.slot - 1))
        none = ~self.ready
        low, centre, high = (self.domain.invert(middle + part) for part in (-half, 0.0, half))
        return np.where(none, np.nan, centre), np.where(none, np.nan, low), np.where(none, np.nan, high)

    def save(self) -> bytes:
        """Everything it has learnt."""
        return storage.save(self)

    @classmethod
    def load(cls, state: bytes) -> "OnlineDetector":
        """A detector that goes on where a saved one stood.

        Raises:
            ValueError: not the state of such a detector, or of another version.
        """
        return storage.load(cls, state)

    def rearranged(self, places: Sequence[int | None]) -> "OnlineDetector":
        """A detector whose series are these series of this one, in this order; None is a series that begins now."""
        return storage.rearranged(self, places)

    def _judge(self, own: Floats, novelty: Floats | None) -> Verdicts:
        layout, slot = self.layout, self.slot
        self._set_clock()
        if slot % self._kept_gap == 0:
            self.first[slot // self._kept_gap] = own
        self.season.add(self.day, slot, own)
        self.seen += np.isfinite(own)
        residual = own - self.season.at(slot)
        if self.season.borrowed[slot // layout.per_block]:
            residual = np.full_like(residual, np.nan)
        level, known = self.past.level()
        level = np.where(known > 0, level, 0.0)
        factor = self.spread.at(slot)
        hold = np.maximum(CLIP * np.where(np.isfinite(self.noise), self.noise, 1.0) * factor, _LEAST_CLIP)
        strays = np.clip(residual - level, -hold, hold)
        self.past.push(level + strays)
        self.spread.add(self.day, slot, np.where(self.announced.active, np.nan, np.abs(strays)))
        self.now.push(residual)
        if slot % self._kept_gap == 0:
            self.kept[slot // self._kept_gap] = (residual - level) / factor

        difference, evidence, compared = self._compare()
        strongest = evidence.argmax(axis=0)
        top = np.take_along_axis(evidence, strongest[None], axis=0)[0]
        new = np.zeros(self.series, dtype=bool)
        if novelty is not None:
            novelty = np.where(self.tick * layout.step >= DAY, novelty, 0.0)
            new = novelty >= 1
            top = np.maximum(top, novelty)
        self.evidence = top
        up = np.take_along_axis(difference, strongest[None], axis=0)[0] > 0
        was_active = self.announced.active.copy()
        score = self.announced.judge(top, strongest, new, up, self.past, self.now)
        self.scales.sample(self.day, slot, np.where(was_active | self.announced.active, np.nan, difference))

        with np.errstate(invalid="ignore"):
            size, half, reference = estimates.size(layout, self.announced, self.now, compared, hold)
            severe = self.ready & estimates.severe(
                layout, self.announced, self.now, compared, reference, noise=self.noise * factor, worse=self.worse
            )
        size = np.where(self.ready, size, np.nan)
        usual = self.season.at(slot) + reference
        change, lower, upper = (self.domain.ratio(usual, size + part) for part in (0.0, -half, half))
        for series in self.announced.confirmed():
            self._accept(int(series))
        return Verdicts(score, change, lower, upper, severe)

    def _set_clock(self) -> None:
        """When local time jumps, what was learnt of times of day moves with it."""
        layout = self.layout
        offset = self.zone.offset(layout.start + layout.slot * (self.day * layout.day + self.slot))
        if offset == self.offset:
            return
        blocks = round((offset - self.offset) / (layout.slot * layout.per_block))
        self.offset = offset
        if layout.seasonal and blocks:
            self.season.turn(self.day, blocks)
            self.spread.turn(self.day, blocks)

    def _compare(self) -> tuple[Floats, Floats, estimates.Comparison]:
        """Differences fit for comparison with their scales, the evidence in them, and the plain comparison."""
        layout = self.layout
        plain, counts, reference_counts, reference = self.past.compare()
        enough = (counts >= self.need) & (reference_counts >= _LEAST_REFERENCE * self.filled * self._references)
        plain = np.where(enough & (reference_counts >= 5), plain, np.nan)
        expected = np.maximum(self.filled * np.array(layout.windows)[:, None], 1.0)
        # means of fewer values than usual stray further
        share = np.sqrt(np.minimum(1.0, counts / expected))
        over = self.spread.over(self.slot)
        difference = plain * share / over
        scale = self.scales.scale
        few = 1 + _FEW_DAYS * (1 / np.maximum(self.scales.days, 1) - 1 / DAYS)
        limit = self._limits * scale * few
        with np.errstate(invalid="ignore", divide="ignore"):
            rise = difference / np.fmax(limit, self.scales.peak[0])
            fall = -difference / np.fmax(limit, self.scales.peak[1])
            sides = {"up": rise, "down": fall, "both": np.fmax(rise, fall)}[self.worse]
            evidence = np.where(np.abs(difference) * over <= LEAST_DIFFERENCE, np.minimum(sides, 0.5), sides)
            spread = scale * over / np.maximum(share, 0.3)
        evidence = np.where(np.isfinite(evidence) & self.ready, np.maximum(evidence, 0.0), 0.0)
        peak = self.scales.peak[:, min(1, len(layout.windows) - 1)] * over[min(1, len(layout.windows) - 1)]
        return difference, evidence, estimates.Comparison(plain, spread, reference, evidence, peak)

    def _accept(self, series: int) -> None:
        """Take the level since the onset for the usual one: the past moves to it, the shape of the day stays."""
        layout, events = self.layout, self.announced
        events.close(series)
        slots = int(min(events.onset[series], self.now.length - 1))
        since = self.now.last(slots, np.array([series]))[:, 0]
        before = self.past.compare()[3][-1, series]
        if np.isfinite(since).sum() < 3 or not np.isfinite(before):
            return
        difference = float(np.nanmedian(since) - before)
        hold = max(CLIP * float(np.nan_to_num(self.noise[series])), _LEAST_CLIP)
        self.past.replace_last(series, before + np.clip(since - difference - before, -hold, hold))
        self.now.replace_last(series, since - difference)
        self.season.shift(np.array([series]), np.array([difference]))
        # blocks of today that were filled since the onset had the new level already
        first, last = max(0, self.slot - slots) // layout.per_block, self.slot // layout.per_block
        self.season.history[self.day % len(self.season.history), first : last + 1, series] -= np.float32(difference)

    def _next_day(self) -> None:
        layout = self.layout
        share = self.seen / layout.day
        self.filled = np.where(self.filled == 0, share, 0.7 * self.filled + 0.3 * share)
        self.seen[:] = 0
        if (self.domain.kind == UNKNOWN).any():
            chosen = self.domain.choose(self.first)
            past = self.season.history
            past[..., chosen] = self.domain.apply(past.astype(np.float64))[..., chosen]
        self.day, self.slot = self.day + 1, 0
        self.noises[(self.day - 1) % DAYS] = GAUSSIAN * median(np.abs(self.kept - median(self.kept)))
        self.noise = median(self.noises)
        self.kept[:] = np.nan
        self.season.next_day(self.day, self.offset)
        self.spread.next_day(self.day, self.offset)
        self.scales.next_day(self.day)
        self.past.resum(slice(None))
        windows = np.array(layout.windows)[:, None]
        expected = self.filled * windows
        several = np.maximum(2, np.ceil(_LEAST_FILLED * expected))
        self.need = np.where((expected >= _LEAST_EXPECTED) & (windows > 1), several, np.inf)
        self.need = np.where((windows == 1) & (self.filled > _SCARCE), 1.0, self.need)
        self.ready = np.isfinite(self.scales.scale).any(axis=0) & (self.scales.days > 0) & (self.day >= _READY_DAYS)
