"""The ``regression`` operator: the analyzer's verdict while it runs, else median and MAD of the recorded signal.

The second form needs a history that an incident does not spoil: the *clean* signal leaves out every moment at which an
alert about it was pending or firing. That freezes the baseline while an incident lasts, until the window holds too few
clean samples; then the alert ends by itself, which is why a signal without a baseline deserves an alert of its own.
"""

from jelmon_generators.model.definitions import Direction, Regression, Settings
from jelmon_generators.model.known import Known
from jelmon_generators.promql.expressions import Expression, duration, number, on

_MAD_TO_SIGMA = 1.4826
_LAG = "5m"  # the newest minutes are what is judged, so they are no part of what they are judged by


def expression(condition: Regression, known: Known) -> Expression:
    """The series that are worse than usual, with the change as value."""
    record, labels = known.records[condition.signal], known.labels[condition.signal]
    keys = labels & {"pipeline", "stage"}
    verdicts = fresh(known.settings)
    by_analyzer = _by_analyzer(condition, known, keys)
    by_history = _by_history(condition, known, record)
    text = (
        f"(\n  {record} * 0 + {on(keys)} group_left () (\n{by_analyzer}\n  )\n  and on () ({verdicts})\n"
        f"or\n  (\n{by_history}\n  )\n  unless on () ({verdicts})\n)"
    )
    return Expression(text, labels)


def fresh(settings: Settings) -> str:
    """PromQL that yields something while the analyzer's verdicts count."""
    return (
        'time() - max(jelmore_analyzer_last_success_timestamp_seconds{analyzer="regression"})'
        f" < {number(settings.analyzer_stale_seconds)}"
    )


def _by_analyzer(condition: Regression, known: Known, keys: frozenset[str]) -> str:
    names = ", ".join(sorted(keys))
    worse_down = known.directions[condition.signal] is Direction.DOWN
    near_end = "upper" if worse_down else "lower"

    def gauge(name: str) -> str:
        return f'max by ({names}) (jelmore_regression_{name}{{signal="{condition.signal}"}})'

    symbol, sign = ("<", -1) if worse_down else (">", 1)
    return (
        f"    {gauge('change_ratio')} {symbol} {number(sign * condition.threshold)}\n"
        f"      and {on(keys)} {gauge(f'change_{near_end}_ratio')} {symbol} {number(sign * condition.lower_bound)}\n"
        f"      and {on(keys)} {gauge('q_value')} < {number(condition.q_value)}"
    )


def _by_history(condition: Regression, known: Known, record: str) -> str:
    worse_down = known.directions[condition.signal] is Direction.DOWN
    symbol, sign = ("<", "-") if worse_down else (">", "")
    change = f"{record}:median5m - {record}:baseline"
    lines = [
        f"    ({change}) / ({record}:baseline > 0) {symbol} {sign}{number(condition.threshold)}",
        f"      and {change} {symbol} {sign}{number(3 * _MAD_TO_SIGMA)} * {record}:mad",
    ]
    if condition.floor:
        lines.append(f"      and {record}:median5m > {number(condition.floor)}")
    return "\n".join(lines)


def recordings(condition: Regression, known: Known, alert_names: list[str]) -> list[tuple[str, str]]:
    """What the second form reads, as (name, expression), in the order to evaluate."""
    record, labels = known.records[condition.signal], known.labels[condition.signal]
    window = duration(condition.window_seconds)
    keys = on(labels & {"pipeline", "stage"})
    operator, names = ("=", alert_names[0]) if len(alert_names) == 1 else ("=~", "|".join(sorted(alert_names)))
    return [
        (
            f"{record}:clean",
            f'{record}\nunless {keys}\n  ALERTS{{alertname{operator}"{names}",'
            'alertstate=~"pending|firing",escalation_level=""}',
        ),
        (
            f"{record}:baseline",
            f"quantile_over_time(0.5, {record}:clean[{window}] offset {_LAG})\n"
            f"  and count_over_time({record}:clean[{window}] offset {_LAG}) >= {condition.minimum_samples}",
        ),
        (f"{record}:deviation", f"abs({record}:clean - {record}:baseline)"),
        (f"{record}:mad", f"quantile_over_time(0.5, {record}:deviation[{window}] offset {_LAG})"),
        (f"{record}:median5m", f"quantile_over_time(0.5, {record}[5m])"),
    ]
