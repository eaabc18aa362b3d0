"""Verdicts as gauges. What is not known is absent, never 0."""

import math

import numpy as np

from jelmon import catalogue as c
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.regression import false_discovery
from jelmon_analyzers.regression.forecast import Slope, slope, time_to
from jelmon_analyzers.regression.monitored_signal import STEP, MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import Floats
from jelmon_analyzers.timeseries.online.detector import OnlineDetector

WARN_CHANGE = 0.10
_TREND_BLOCK = 5
_TREND_HOURS = (6, 24)


def report(watches: list[MonitoredSignal], exports: Exports, *, with_trends: bool) -> tuple[int, dict[str, int]]:
    """Set every gauge of a cycle; returns how many series were judged, and how many not, by reason."""
    skipped = {"not_ready": 0, "no_data": 0}
    judged = 0
    evidence = [watch.detector.evidence[watch.detector.ready] for watch in watches if watch.detector is not None]
    chances = false_discovery.p_values(np.concatenate([*evidence, np.empty(0)]))
    # the false ones among all that are as clear, over every signal of the cycle
    shares = false_discovery.q_values(chances)
    at = 0
    for watch in watches:
        detector = watch.detector
        if detector is None or watch.verdicts is None:
            continue
        usual, low, high = detector.usual()
        changed_at = detector.changed_at
        for place, key in enumerate(watch.keys):
            labels = {"signal": watch.signal.name, **dict(key)}
            exports.set(c.REGRESSION_BASELINE_READY, float(detector.ready[place]), **labels)
            if not detector.ready[place]:
                skipped["not_ready"] += 1
                if key in watch.young:
                    when, young = watch.young[key]
                    exports.set(c.REGRESSION_CHANGE_POINT, when, **labels)
                    exports.set(c.REGRESSION_CHANGE, young.change, **labels)
                    exports.set(c.REGRESSION_CHANGE_LOWER, young.lower, **labels)
                    exports.set(c.REGRESSION_CHANGE_UPPER, young.upper, **labels)
                continue
            chance, share = float(chances[at]), float(shares[at])
            at += 1
            value = float(watch.values[place])
            exports.set(c.REGRESSION_BASELINE, _known(usual[place]), **labels)
            exports.set(c.REGRESSION_BASELINE_LOWER, _known(low[place]), **labels)
            exports.set(c.REGRESSION_BASELINE_UPPER, _known(high[place]), **labels)
            exports.set(c.REGRESSION_CONFIDENCE, 1 - chance, **labels)
            exports.set(c.REGRESSION_Q_VALUE, share, **labels)
            exports.set(c.REGRESSION_CHANGE_POINT, _known(changed_at[place]), **labels)
            if not math.isfinite(value):
                skipped["no_data"] += 1
                continue
            judged += 1
            _change(watch, place, exports, labels)
            _anomaly(value, float(usual[place]), float(low[place]), float(high[place]), exports, labels)
            if with_trends:
                _trend(watch, detector, place, value, exports, labels)
    exports.end()
    return judged, skipped


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _change(watch: MonitoredSignal, place: int, exports: Exports, labels: dict[str, str]) -> None:
    assert watch.verdicts is not None
    assert watch.detector is not None
    change, lower, upper = (float(part[place]) for part in watch.verdicts[1:4])
    exports.set(c.REGRESSION_CHANGE, _known(change), **labels)
    exports.set(c.REGRESSION_CHANGE_LOWER, _known(lower), **labels)
    exports.set(c.REGRESSION_CHANGE_UPPER, _known(upper), **labels)
    worse = watch.signal.worse
    rises = worse in ("up", "both") and change > WARN_CHANGE and lower > 0
    falls = worse in ("down", "both") and change < -WARN_CHANGE and upper < 0
    announced = bool(watch.detector.announced.active[place])
    exports.set(c.REGRESSION_EARLY_WARNING, float(announced and (rises or falls)), **labels)
    exports.set(c.REGRESSION_SEVERE, float(watch.verdicts.severe[place]), **labels)


def _anomaly(value: float, usual: float, low: float, high: float, exports: Exports, labels: dict[str, str]) -> None:
    """0 at the usual value, 50 at the end of the usual range, 75 at twice as far, towards 100."""
    end = high if value >= usual else low
    width = abs(end - usual)
    distance = abs(value - usual) / width if width > 0 else (0.0 if value == usual else math.inf)
    exports.set(c.REGRESSION_ANOMALY, 100 * (1 - 0.5**distance), **labels)
    exports.set(c.REGRESSION_ANOMALY_DIRECTION, 1.0 if value > high else -1.0 if value < low else 0.0, **labels)


def _trend(
    watch: MonitoredSignal, detector: OnlineDetector, place: int, value: float, exports: Exports, labels: dict[str, str]
) -> None:
    """The slope of what is left without the day's shape, over 6 and 24 hours; both must agree for a forecast."""
    slopes: list[Slope] = []
    for hours in _TREND_HOURS:
        minutes = detector.past.last(min(detector.past.length, hours * 60), np.array([place]))[:, 0]
        found = slope(_medians(minutes), STEP * _TREND_BLOCK)
        if found is None:
            return
        slopes.append(_in_units(detector, place, value, found))
    exports.set(c.FORECAST_TREND, slopes[0].middle, **labels)
    if watch.signal.threshold is not None:
        times = [time_to(watch.signal.threshold, value, each) for each in slopes]
        known = [time for time in times if time is not None]
        exports.set(c.FORECAST_TIME_TO_THRESHOLD, known[0] if len(known) == len(times) else None, **labels)


def _medians(minutes: Floats) -> Floats:
    blocks = minutes[len(minutes) % _TREND_BLOCK :].reshape(-1, _TREND_BLOCK)
    some = np.isfinite(blocks).any(axis=1)
    medians = np.full(len(blocks), np.nan)
    medians[some] = np.nanmedian(blocks[some], axis=1)
    return medians


def _in_units(detector: OnlineDetector, place: int, value: float, found: Slope) -> Slope:
    """From the domain of the series to its unit, at its present value."""
    domain = detector.domain
    raw = np.full(detector.series, value)
    own = domain.apply(raw)
    small = 1e-4
    unit = float((domain.invert(own + small) - domain.invert(own - small))[place]) / (2 * small)
    return Slope(*(part * unit for part in found))
