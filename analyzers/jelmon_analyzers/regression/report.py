"""Verdicts as gauges; a gauge that is not known is absent, never 0."""

import math

import numpy as np

from jelmon import catalogue as c
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.regression import false_discovery
from jelmon_analyzers.regression.forecast import Slope, slope, time_to
from jelmon_analyzers.regression.monitored_signal import STEP, MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import Floats, Labels
from jelmon_analyzers.timeseries.online.detector import OnlineDetector

WARN_CHANGE = 0.10
_TREND_BLOCK = 5
"""Minutes of a block; the slope is that of block medians."""
_TREND_HOURS = (6, 24)


def report(signals: list[MonitoredSignal], exports: Exports) -> tuple[int, dict[str, int]]:
    """Export the gauges of a cycle; return how many series were judged, and how many were not by reason."""
    skipped = {"not_ready": 0, "no_data": 0}
    judged = 0
    evidence = [signal.detector.evidence[signal.detector.ready] for signal in signals if signal.detector is not None]
    # the false discovery rate is that of all signals of a cycle together
    chances = false_discovery.p_values(np.concatenate([*evidence, np.empty(0)]))
    rates = false_discovery.q_values(chances)
    ready_before = 0
    for signal in signals:
        detector = signal.detector
        if detector is None or signal.verdicts is None:
            continue
        usual = detector.usual()
        changed_at = detector.changed_at
        for index, key in enumerate(signal.keys):
            labels = {"signal": signal.signal.name, **dict(key)}
            exports.set(c.REGRESSION_BASELINE_READY, float(detector.ready[index]), **labels)
            if not detector.ready[index]:
                skipped["not_ready"] += 1
                _recent_change(signal, key, exports, labels)
                continue
            chance, rate = float(chances[ready_before]), float(rates[ready_before])
            ready_before += 1
            middle, low, high = (float(part[index]) for part in usual)
            exports.set(c.REGRESSION_BASELINE, _known(middle), **labels)
            exports.set(c.REGRESSION_BASELINE_LOWER, _known(low), **labels)
            exports.set(c.REGRESSION_BASELINE_UPPER, _known(high), **labels)
            exports.set(c.REGRESSION_CONFIDENCE, 1 - chance, **labels)
            exports.set(c.REGRESSION_Q_VALUE, rate, **labels)
            exports.set(c.REGRESSION_CHANGE_POINT, _known(changed_at[index]), **labels)
            value = float(signal.values[index])
            if not math.isfinite(value):
                skipped["no_data"] += 1
                continue
            judged += 1
            _change(signal, index, exports, labels)
            _anomaly(value, middle, low, high, exports, labels)
            _trend(signal.signal.threshold, detector, index, value, exports, labels)
    exports.end()
    return judged, skipped


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _recent_change(signal: MonitoredSignal, key: Labels, exports: Exports, labels: dict[str, str]) -> None:
    if key not in signal.recent_changes:
        return
    when, change = signal.recent_changes[key]
    exports.set(c.REGRESSION_CHANGE_POINT, when, **labels)
    exports.set(c.REGRESSION_CHANGE, change.change, **labels)
    exports.set(c.REGRESSION_CHANGE_LOWER, change.lower, **labels)
    exports.set(c.REGRESSION_CHANGE_UPPER, change.upper, **labels)


def _change(signal: MonitoredSignal, index: int, exports: Exports, labels: dict[str, str]) -> None:
    assert signal.verdicts is not None
    assert signal.detector is not None
    change, lower, upper = (float(part[index]) for part in signal.verdicts[1:4])
    exports.set(c.REGRESSION_CHANGE, _known(change), **labels)
    exports.set(c.REGRESSION_CHANGE_LOWER, _known(lower), **labels)
    exports.set(c.REGRESSION_CHANGE_UPPER, _known(upper), **labels)
    worse = signal.signal.worse
    rises = worse in ("up", "both") and change > WARN_CHANGE and lower > 0
    falls = worse in ("down", "both") and change < -WARN_CHANGE and upper < 0
    announced = bool(signal.detector.announced[index])
    exports.set(c.REGRESSION_EARLY_WARNING, float(announced and (rises or falls)), **labels)
    exports.set(c.REGRESSION_SEVERE, float(signal.verdicts.severe[index]), **labels)


def _anomaly(value: float, usual: float, low: float, high: float, exports: Exports, labels: dict[str, str]) -> None:
    """Export the anomaly score: 0 at the usual value, 50 at the end of the usual range, 75 twice as far out."""
    end = high if value >= usual else low
    width = abs(end - usual)
    distance = abs(value - usual) / width if width > 0 else (0.0 if value == usual else math.inf)
    exports.set(c.REGRESSION_ANOMALY, 100 * (1 - 0.5**distance), **labels)
    exports.set(c.REGRESSION_ANOMALY_DIRECTION, 1.0 if value > high else -1.0 if value < low else 0.0, **labels)


def _trend(
    threshold: float | None,
    detector: OnlineDetector,
    index: int,
    value: float,
    exports: Exports,
    labels: dict[str, str],
) -> None:
    """Export the slope without the shape of the day, over 6 and 24 hours; a forecast needs both to agree."""
    slopes: list[Slope] = []
    for hours in _TREND_HOURS:
        trend = slope(_block_medians(detector.residuals(index, hours * 60)), STEP * _TREND_BLOCK)
        if trend is None:
            return
        unit = detector.unit(index, value)
        slopes.append(Slope(*(part * unit for part in trend)))
    exports.set(c.FORECAST_TREND, slopes[0].middle, **labels)
    if threshold is not None:
        times = [time_to(threshold, value, each) for each in slopes]
        known = [time for time in times if time is not None]
        exports.set(c.FORECAST_TIME_TO_THRESHOLD, known[0] if len(known) == len(times) else None, **labels)


def _block_medians(minutes: Floats) -> Floats:
    blocks = minutes[len(minutes) % _TREND_BLOCK :].reshape(-1, _TREND_BLOCK)
    some = np.isfinite(blocks).any(axis=1)
    medians = np.full(len(blocks), np.nan)
    medians[some] = np.nanmedian(blocks[some], axis=1)
    return medians
