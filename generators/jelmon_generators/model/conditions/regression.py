"""The signal is worse than usual: by the analyzer's verdict while it runs, else by median and MAD of its history.

The second form needs a history that an incident does not spoil: the *clean* signal leaves out every moment at which an
alert about it was pending or firing, and every moment without a value: a percentile of nothing is NaN. That freezes
the baseline while an incident lasts, until the window holds too few clean samples; then the alert ends by itself, which
is why a signal without a baseline deserves an alert of its own.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from jelmon.catalogue import REGRESSION_BASELINE_READY as READY
from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.checks import BASELINE
from jelmon_generators.model.conditions.base import Directions, Key, Labels, SignalCondition, Timing, Values
from jelmon_generators.model.conditions.regression_cases import SUCCESS, Bounds, cases
from jelmon_generators.model.known import Known
from jelmon_generators.model.settings import Settings
from jelmon_generators.model.signals import Direction, Signal
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, Expression, duration, number, on

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
LAG_SECONDS = 300.0
"""The newest minutes are judged, so they are not part of the baseline."""
_LAG = duration(LAG_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regression(SignalCondition):
    """The signal is worse than usual by more than ``threshold`` (a ratio: 0.1 is 10 %)."""

    judges_single_samples: ClassVar[bool] = False
    needs_history: ClassVar[bool] = True
    fallback: ClassVar[str] = "without an analyzer, by median and MAD"

    threshold: float
    lower_bound: float  # the lower end of the interval must exceed it
    q_value: float
    window_seconds: float  # of the baseline that is used when no analyzer runs
    minimum_samples: int
    floor: float  # the signal is never judged below this value

    @classmethod
    def read(cls, fields: Fields, operator: str) -> Self:
        baseline = fields.mapping("baseline") or Fields(fields.place, {}, {})
        condition = cls(
            signal=fields.text("metric_path"),
            threshold=fields.number("threshold"),
            lower_bound=baseline.number("lower_bound", 0.0),
            q_value=baseline.number("q_value", 0.05),
            window_seconds=baseline.duration("window", 86400.0),
            minimum_samples=int(baseline.number("minimum_samples", 120)),
            floor=baseline.number("floor", 0.0),
            fields=fields,
        )
        baseline.done("a baseline")
        return condition

    @property
    def key(self) -> Key:
        return ("regression", self.signal)

    @property
    def panel_threshold(self) -> float | None:
        return self.threshold

    def worse(self, directions: Directions) -> int:
        """Return 1 where a larger value is worse, else -1."""
        return -1 if directions[self.signal] is Direction.DOWN else 1

    def is_met(self, values: Values, directions: Directions) -> bool:
        value = values[self.key]
        exists = values.get(("signal", self.signal), 0.0) is not None  # a verdict alone is not enough
        return value is not None and exists and self.worse(directions) * value > self.threshold

    def edges(self, directions: Directions) -> list[float | None]:
        change = self.worse(directions) * self.threshold
        return [change * 0.99, change * 1.01]

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return (
            f"`{self.signal}` is more than {self.threshold:.0%} worse than its baseline, according to the regression"
            " analyzer or, while none runs, the median and MAD of its own history"
        )

    def check_values(self, known: Known, duration_place: Place, duration_seconds: float) -> None:
        place, settings = self.fields.at("baseline"), known.settings
        if self.window_seconds + 300 > settings.retention_seconds:
            BASELINE.report(
                place,
                "the baseline window is longer than the retention",
                hint=f"retention in rules/bundle.yaml is {duration(settings.retention_seconds)}",
            )
        most = self.window_seconds / settings.evaluation_interval_seconds
        if self.minimum_samples > most:
            BASELINE.report(place, f"minimum_samples exceeds what the window holds ({most:.0f})")
        if not self.threshold > 0 or not 0 <= self.lower_bound <= self.threshold:
            BASELINE.report(
                self.fields.at("threshold"),
                "a regression needs 0 <= lower_bound <= threshold, and a threshold above 0",
                hint="both are ratios: threshold: 0.1 is 10 %",
            )

    # --- rules ---

    def promql(self, known: Known) -> Expression:
        record, labels = known.records[self.signal], known.labels[self.signal]
        keys = judged_by(labels)
        if not keys:
            return Expression(f"(\n{self._by_history(known)}\n)", labels)
        verdicts = fresh_verdicts(known.settings)
        text = (
            f"(\n  {record} * 0 + {on(keys)} group_left () (\n{self._by_analyzer(known, keys)}\n  )\n"
            f"  and on () ({verdicts})\n"
            f"or\n  (\n{self._by_history(known)}\n  )\n"
            f'  unless {on(keys)} ({READY.name}{{signal="{self.signal}"}} and on () ({verdicts}))\n)'
        )
        return Expression(text, labels)

    def _by_analyzer(self, known: Known, keys: frozenset[str]) -> str:
        names = ", ".join(sorted(keys))
        worse = self.worse(known.directions)
        symbol = "<" if worse < 0 else ">"

        def gauge(name: str) -> str:
            return f'max by ({names}) (jelmore_regression_{name}{{signal="{self.signal}"}})'

        return (
            f"    {gauge('change_ratio')} {symbol} {number(worse * self.threshold)}\n"
            f"      and {on(keys)} {gauge(f'change_{near_end(worse)}_ratio')} {symbol}"
            f" {number(worse * self.lower_bound)}\n"
            f"      and {on(keys)} {gauge('q_value')} < {number(self.q_value)}"
        )

    def _by_history(self, known: Known) -> str:
        record = known.records[self.signal]
        symbol, sign = ("<", "-") if self.worse(known.directions) < 0 else (">", "")
        change = f"{record}:median5m - {record}:baseline"
        lines = [
            f"    ({change}) / ({record}:baseline > 0) {symbol} {sign}{number(self.threshold)}",
            f"      and {change} {symbol} {sign}{number(3 * _MAD_TO_SIGMA)} * {record}:mad",
        ]
        if self.floor:
            lines.append(f"      and {record}:median5m > {number(self.floor)}")
        return "\n".join(lines)

    def recordings(self, known: Known, alerts: Mapping[str, frozenset[str]]) -> list[tuple[str, str]]:
        record = known.records[self.signal]
        window = duration(self.window_seconds)
        step = duration(known.settings.evaluation_interval_seconds)
        return [
            (f"{record}:clean", f"{record} >= -Inf" + _except_during(alerts)),
            (
                f"{record}:baseline",
                f"quantile_over_time(0.5, {record}:clean[{window}] offset {_LAG})\n"
                f"  and count_over_time({record}:clean[{window}] offset {_LAG}) >= {self.minimum_samples}",
            ),
            (f"{record}:deviation", f"abs({record}:clean - {record}:baseline)"),
            (f"{record}:mad", f"quantile_over_time(0.5, {record}:deviation[{window}] offset {_LAG})"),
            (f"{record}:median5m", f"quantile_over_time(0.5, ({record} >= -Inf)[5m:{step}])"),
        ]

    # --- input for generated tests ---

    def inputs(self, value: float, labels: Labels, known: Known, fed: Collection[Key]) -> list[tuple[str, float]]:
        if not judged_by(known.labels[self.signal]):
            return self.fallback_inputs(value, labels, known)
        worse = self.worse(known.directions)
        verdict = {name: text for name, text in labels.items() if name in ("pipeline", "stage")}
        verdict |= {"signal": self.signal, "job": "jelmon-analyzer", "instance": "a-instance"}
        signal = [] if ("signal", self.signal) in fed else [(selector(known.records[self.signal], labels), 1.0)]
        return [
            *signal,
            (selector("jelmore_regression_change_ratio", verdict), value),
            (
                selector(f"jelmore_regression_change_{near_end(worse)}_ratio", verdict),
                worse * (self.lower_bound + 0.01),
            ),
            (selector("jelmore_regression_q_value", verdict), self.q_value / 2),
        ]

    def constant_inputs(self, interval_seconds: float) -> list[tuple[str, str]]:
        return [(SUCCESS, f"0+{interval_seconds:g}x600")]

    def fallback_inputs(self, value: float, labels: Labels, known: Known) -> list[tuple[str, float]]:
        record = known.records[self.signal]
        level = max(100.0, 2 * self.floor)
        return [
            (selector(f"{record}:baseline", labels), level),
            (selector(f"{record}:mad", labels), level * self.threshold / 100),
            (selector(f"{record}:median5m", labels), level * (1 + value)),
        ]

    def test_cases(self, timing: Timing, known: Known) -> list[Case]:
        worse = self.worse(known.directions)
        bounds = Bounds(self.signal, self.threshold, self.lower_bound, self.q_value, self.floor, worse)
        return cases(bounds, timing, known, judged=bool(judged_by(known.labels[self.signal])))


def _except_during(alerts: Mapping[str, frozenset[str]]) -> str:
    """Return PromQL to append to the signal: it drops what an alert about it is pending or firing for."""
    named: dict[frozenset[str], list[str]] = {}
    for name, keys in alerts.items():
        named.setdefault(keys, []).append(name)
    text = ""
    for keys, names in named.items():
        operator = "=" if len(names) == 1 else "=~"
        text += (
            f'\nunless {on(keys)}\n  ALERTS{{alertname{operator}"{"|".join(sorted(names))}",'
            'alertstate=~"pending|firing",escalation_level=""}'
        )
    return text


def judged_by(labels: frozenset[str]) -> frozenset[str]:
    """Return the labels by which the analyzer tells series of a signal apart; none when it cannot.

    It adds up series that differ in other labels than pipeline and stage, so its verdict would be about all of them.
    """
    keys = labels - NOT_FOR_MATCHING
    return keys if keys <= {"pipeline", "stage"} else frozenset()


def near_end(worse: int) -> str:
    """Return the end of the interval that is nearer to no change."""
    return "upper" if worse < 0 else "lower"


def fresh_verdicts(settings: Settings) -> str:
    """Return PromQL that yields something while the analyzer's verdicts count."""
    return (
        'time() - max(jelmore_analyzer_last_success_timestamp_seconds{analyzer="regression"})'
        f" < {number(settings.analyzer_stale_seconds)}"
    )
