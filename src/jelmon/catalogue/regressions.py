"""Regressions, anomalies and forecasts of signals."""

from jelmon.catalogue.metric import Gauge, Service

_SIGNAL = ("signal", "pipeline", "stage")


def _regression(name: str, text: str, unit: str = "", labels: tuple[str, ...] = _SIGNAL) -> Gauge:
    return Gauge(name=f"jelmore_regression_{name}", help=text, unit=unit, labels=labels, service=Service.ANALYZER)


REGRESSION_CHANGE = _regression(
    "change_ratio", "Relative change of the current level from the baseline; 0.1 is 10 % higher.", "ratio"
)
REGRESSION_CHANGE_LOWER = _regression(
    "change_lower_ratio", "Lower bound of the change's 95 % confidence interval.", "ratio"
)
REGRESSION_CHANGE_UPPER = _regression(
    "change_upper_ratio", "Upper bound of the change's 95 % confidence interval.", "ratio"
)
REGRESSION_CONFIDENCE = _regression("confidence_ratio", "Confidence that the level has changed, from 0 to 1.", "ratio")
REGRESSION_Q_VALUE = _regression(
    "q_value", "Expected false discovery rate among changes at least this significant (Benjamini-Hochberg)."
)
REGRESSION_EARLY_WARNING = _regression(
    "early_warning", "1 if the signal is more than 10 % worse and the confidence interval excludes 0, else 0."
)
REGRESSION_SEVERE = _regression(
    "severe",
    "1 if the signal is more than 50 % worse for 5 minutes and the interval's lower bound is above 25 %, else 0.",
)
REGRESSION_CHANGE_POINT = _regression("change_point_timestamp_seconds", "Time of the last change of level.", "seconds")
REGRESSION_BASELINE = _regression("baseline", "Baseline level, in the unit of the signal.")
REGRESSION_BASELINE_LOWER = _regression("baseline_lower", "Lower bound of the normal range, in the unit of the signal.")
REGRESSION_BASELINE_UPPER = _regression("baseline_upper", "Upper bound of the normal range, in the unit of the signal.")
REGRESSION_BASELINE_READY = _regression(
    "baseline_ready", "1 if there is enough history to evaluate the signal, else 0."
)
REGRESSION_ANOMALY = _regression("anomaly_score", "Anomaly score of the latest value, from 0 to 100.")
REGRESSION_ANOMALY_DIRECTION = _regression(
    "anomaly_direction", "1 if the latest value is above the normal range, -1 if below, 0 if within."
)
FORECAST_TREND = _regression("trend_per_second", "Robust trend of the signal, in its unit per second.")
FORECAST_TIME_TO_THRESHOLD = _regression(
    "time_to_threshold_seconds",
    "Time until the trend crosses the alert's threshold; absent unless both interval bounds cross it.",
    "seconds",
)
