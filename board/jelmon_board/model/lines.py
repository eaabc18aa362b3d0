"""The lines that charts draw: each declared once, for PromQL and for the embedded store alike."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from jelmon import catalogue as c
from jelmon.catalogue import Metric
from jelmon.events import Outcome
from jelmon_board.model.samples import Key, Samples

BAD_OUTCOMES = (Outcome.FAILURE.value, Outcome.ERROR.value, Outcome.TIMEOUT.value)
RATE_WINDOW = 300.0
MEAN_WINDOW = 900.0
_NAN = math.nan


class Kind(StrEnum):
    """How a line follows from its metric."""

    LEVEL = "level"  # the gauge itself
    AGE = "age"  # time since the timestamp in the gauge
    RATE = "rate"  # of a counter, per hour
    MEAN = "mean"  # of a histogram
    SHARE = "share"  # of the counter's events with a bad outcome


@dataclass(frozen=True, slots=True)
class Part:
    """A figure that a line is computed from: a gauge, or a counter whose growth counts."""

    series: str
    labels: tuple[str, ...]
    outcomes: tuple[str, ...] = ()
    is_counter: bool = True

    def read(self, samples: Samples, metric: Metric) -> dict[Key, float]:
        """Return the figure by labels, replicas merged."""
        if not self.is_counter:
            return samples.by(self.series, *self.labels)
        if not self.outcomes:
            own = tuple(label for label in metric.series_labels if label != "le")
            return samples.sum_by(self.series, self.labels, own)
        sums: dict[Key, float] = {}
        for (*key, outcome), value in samples.sum_by(
            self.series, (*self.labels, "outcome"), metric.series_labels
        ).items():
            sums[tuple(key)] = sums.get(tuple(key), 0.0) + (value if outcome in self.outcomes else 0.0)
        return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kind of line: for each pipeline, or for each stage."""

    key: str
    title: str
    unit: str
    kind: Kind
    metric: Metric
    labels: tuple[str, ...] = c.PIPELINE
    signal: str = ""
    """The signal of ``rules/signals.yaml`` with the same meaning, whose thresholds are drawn in."""
    regression: str = ""
    """The signal of the regression analyzer with the same meaning, whose normal range is drawn in."""
    declared: Metric | None = None
    """A gauge with the limit that the pipeline declares."""

    @property
    def window(self) -> float:
        """Length of the range that the latest value covers, in seconds."""
        return RATE_WINDOW if self.kind is Kind.RATE else MEAN_WINDOW

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the figures that the line is computed from."""
        name, labels = self.metric.name, self.labels
        match self.kind:
            case Kind.LEVEL | Kind.AGE:
                return (Part(name, labels, is_counter=False),)
            case Kind.RATE:
                return (Part(name, labels),)
            case Kind.MEAN:
                return (Part(f"{name}_sum", labels), Part(f"{name}_count", labels))
            case Kind.SHARE:
                return (Part(name, labels, BAD_OUTCOMES), Part(name, labels))

    def combine(self, figures: Sequence[float], seconds: float, now: float) -> float:
        """Return the value from a gauge, or from the growth of counters within ``seconds``; NaN for none."""
        first = figures[0]
        match self.kind:
            case Kind.LEVEL:
                return first
            case Kind.AGE:
                return max(0.0, now - first)
            case Kind.RATE:
                return first / seconds * 3600 if seconds > 0 else _NAN
            case Kind.MEAN | Kind.SHARE:
                return first / figures[1] if figures[1] > 0 else _NAN

    def promql(self, *, window: float, step: float = 0.0, pipelines: Sequence[str] = ()) -> str:
        """Return the query. With a step of minutes, peaks of gauges between two points are kept."""
        selector = _selector(pipelines)
        by, name = ", ".join(self.labels), self.metric.name

        def rate(series: str, matcher: str = "") -> str:
            inner = "{" + ", ".join(filter(None, (selector, matcher))) + "}"
            return f"sum by ({by}) (max without (instance, pod) (rate({series}{inner}[{window:.0f}s])))"

        match self.kind:
            case Kind.LEVEL | Kind.AGE:
                level = f"max by ({by}) ({name}{{{selector}}})"
                level = level if self.kind is Kind.LEVEL else f"time() - {level}"
                return level if step < 300 else f"max_over_time(({level})[{step:.0f}s:{step / 10:.0f}s])"
            case Kind.RATE:
                return f"{rate(name)} * 3600"
            case Kind.MEAN:
                return f"{rate(f'{name}_sum')} / ({rate(f'{name}_count')} > 0)"
            case Kind.SHARE:
                bad = f'outcome=~"{"|".join(BAD_OUTCOMES)}"'
                every = rate(name)
                return f"({rate(name, bad)} or {every} * 0) / ({every} > 0)"


@dataclass(frozen=True, slots=True)
class Span:
    """A range that charts show. ``window`` is the range of each point's rate, in seconds."""

    title: str
    seconds: float
    step: float
    window: float


HOUR = Span("last hour", 3600.0, 30.0, RATE_WINDOW)
DAY = Span("last 24 hours", 86400.0, 300.0, 1800.0)
WEEK = Span("last 7 days", 7 * 86400.0, 3600.0, 3600.0)
SPARK = Span("last hour", 3600.0, 120.0, 600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Values of a line on an even grid, by labels; NaN where there are none."""

    start: float
    step: float
    values: Mapping[Key, Sequence[float]] = field(default_factory=dict)

    def of(self, *key: str) -> Sequence[float]:
        """Return the values of one series; empty if there are none."""
        return self.values.get(key, ())


def _selector(pipelines: Sequence[str]) -> str:
    if not pipelines:
        return ""
    return f'pipeline=~"{"|".join(_quoted(_literal(name)) for name in pipelines)}"'


def _literal(name: str) -> str:
    """Return a name as a regex of RE2 that matches it alone."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in name)


def _quoted(text: str) -> str:
    """Return a text as the inside of a PromQL string."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


IDLE_AGE = Line(
    key="activity",
    title="Time since last activity",
    unit="s",
    kind=Kind.AGE,
    metric=c.LAST_ACTIVITY,
    signal="time_since_last_activity",
    declared=c.STALL_LIMIT,
)
VELOCITY = Line(
    key="velocity",
    title="Cards per hour",
    unit="/h",
    kind=Kind.RATE,
    metric=c.CARDS_FINISHED,
    signal="cards_per_hour",
    regression="cards_per_hour",
)
PROCESSING = Line(
    key="processing",
    title="Processing time of a card",
    unit="s",
    kind=Kind.MEAN,
    metric=c.CARD_PROCESSING,
    signal="avg_processing_time_seconds",
    regression="avg_processing_time_seconds",
    declared=c.CARD_TARGET,
)
FAILED = Line(
    key="failed",
    title="Cards that failed",
    unit="%",
    kind=Kind.SHARE,
    metric=c.CARDS_FINISHED,
    regression="card_failure_ratio",
)
SEVERITY = Line(
    key="severity",
    title="Severity of the bottleneck",
    unit="",
    kind=Kind.LEVEL,
    metric=c.BOTTLENECK_OVERALL,
    signal="bottleneck_severity",
)
HEALTH = Line(key="health", title="Health score", unit="", kind=Kind.LEVEL, metric=c.HEALTH_SCORE)
STAGE_QUEUE = Line(
    key="queue", title="Cards waiting", unit="cards", kind=Kind.LEVEL, metric=c.STAGE_QUEUE_DEPTH, labels=c.STAGE
)
STAGE_BUSY = Line(
    key="busy", title="Workers busy", unit="runs", kind=Kind.LEVEL, metric=c.STAGE_IN_PROGRESS, labels=c.STAGE
)
STAGE_RUN = Line(
    key="run",
    title="Run time",
    unit="s",
    kind=Kind.MEAN,
    metric=c.STAGE_RUN_TIME,
    labels=c.STAGE,
    regression="stage_run_seconds",
)
STAGE_WAIT = Line(
    key="wait",
    title="Queue time",
    unit="s",
    kind=Kind.MEAN,
    metric=c.STAGE_QUEUE_TIME,
    labels=c.STAGE,
    regression="stage_queue_seconds",
)
STAGE_RATE = Line(
    key="stage_rate", title="Runs per hour", unit="/h", kind=Kind.RATE, metric=c.STAGE_RUNS_FINISHED, labels=c.STAGE
)
STAGE_FAILED = Line(
    key="stage_failed",
    title="Runs that failed",
    unit="%",
    kind=Kind.SHARE,
    metric=c.STAGE_RUNS_FINISHED,
    labels=c.STAGE,
)
STAGE_SEVERITY = Line(
    key="stage_severity",
    title="Severity",
    unit="",
    kind=Kind.LEVEL,
    metric=c.BOTTLENECK_SEVERITY,
    labels=c.STAGE,
    signal="bottleneck_severity",
)
TRANSITIONS = Line(
    key="transitions",
    title="Cards per hour between stages",
    unit="/h",
    kind=Kind.RATE,
    metric=c.STAGE_TRANSITIONS,
    labels=("pipeline", "from_stage", "to_stage"),
)
LINES = (
    *(IDLE_AGE, VELOCITY, PROCESSING, FAILED, SEVERITY, HEALTH),
    *(STAGE_QUEUE, STAGE_BUSY, STAGE_RUN, STAGE_WAIT, STAGE_RATE, STAGE_FAILED, STAGE_SEVERITY, TRANSITIONS),
)
NOW_LINES = (VELOCITY, PROCESSING, FAILED, STAGE_RUN, STAGE_WAIT, STAGE_RATE, STAGE_FAILED, TRANSITIONS)
"""Lines whose latest value every cycle needs; gauges are in the samples anyway."""
