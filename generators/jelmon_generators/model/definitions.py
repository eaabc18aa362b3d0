"""What a person declares in ``rules/``, as frozen data: signals, alerts, channels, routing, escalations.

Names are checked against each other and against the catalogue elsewhere (`checks`); here is only the shape.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from jelmon.bundle.maintenance import Maintenance
from jelmon.config.strict_yaml import Fields, Place
from jelmon.errors import Problem
from jelmon_generators.targets import OLDEST, Target

SEVERITIES = ("critical", "warning", "info", "none")


class Direction(StrEnum):
    """Which way is worse."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Operator(StrEnum):
    """How a signal is compared with its threshold."""

    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    EQ = "eq"
    NE = "ne"

    @property
    def symbol(self) -> str:
        return {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """Input series and the value that the signal then has; becomes a unit test and a line in the documents."""

    series: tuple[tuple[str, str], ...]
    at_seconds: float
    value: float
    labels: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signal:
    """A named PromQL expression over catalogue metrics."""

    name: str
    description: str
    unit: str
    direction: Direction
    expr: str
    low: float | None = None  # the values that the signal can take; a threshold outside can never be met
    high: float | None = None
    job: str | None = None  # set where the expression itself cannot keep the label
    example: Example | None = None
    group: str = ""  # recorded together with others, in the order written; else in a group of its own
    source: str = "rules/signals.yaml"
    written: str = ""  # the field that the expression was made of, when it is not the expression itself
    reads: tuple[frozenset[str], tuple[str, ...]] | None = None  # made by us: its labels, and the metrics behind it
    fields: Fields

    @property
    def place(self) -> Place:
        """Where a fault of the expression is shown."""
        for name in (self.written, "expr", "value"):
            if name and self.fields.has(name):
                return self.fields.at(name)
        return self.fields.place

    @property
    def record(self) -> str:
        """The name under which the signal is recorded."""
        return f"jelmore:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Override:
    """Another threshold for some series."""

    labels: tuple[tuple[str, str], ...]
    threshold: float
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compare:
    """``signal operator threshold``. ``threshold_from`` names a metric that gives it where it has a series."""

    signal: str
    operator: Operator
    threshold: float
    threshold_from: str | None = None
    overrides: tuple[Override, ...] = ()
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outside:
    """The signal is below ``low`` or above ``high``."""

    signal: str
    low: float
    high: float
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Absent:
    """The signal has no series at all."""

    signal: str
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regression:
    """The signal is worse than usual by more than ``threshold`` (a ratio: 0.1 is 10 %)."""

    signal: str
    threshold: float
    lower_bound: float  # the interval's lower end must exceed it
    q_value: float
    window_seconds: float  # of the baseline that is used when no analyzer runs
    minimum_samples: int
    floor: float  # below this value the signal is never judged
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combined:
    """Several conditions: at least ``least`` of them hold for the same labels."""

    kind: str  # all, any, n_of_m
    least: int
    parts: tuple["Condition", ...]
    fields: Fields


Simple = Compare | Outside | Absent | Regression
Condition = Simple | Combined


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alert:
    """One alert definition."""

    rule_id: str
    summary: str
    description: str
    condition: Condition
    unless: tuple[Condition, ...]
    duration_seconds: float
    keep_firing_seconds: float
    severity: str
    team: str
    auto_actions: tuple[str, ...]
    channels: tuple[tuple[str, Place], ...]
    escalation: str | None
    inhibited_by: tuple[tuple[str, Place], ...]
    limit: int | None  # more alerts of this rule than this at once means that the rule is wrong
    dashboard: str | None
    panel: str | None
    source: str  # the file it stands in
    windows: tuple[tuple[str, Place], ...] | None = None  # the only ones that silence it; None: all that match
    fields: Fields

    @property
    def name(self) -> str:
        """The alert's name in Prometheus: ``pipeline_stalled`` becomes ``PipelineStalled``."""
        return camel_case(self.rule_id)

    @property
    def signals(self) -> tuple[str, ...]:
        """Every signal it asks for, the first one first."""
        return _signals_of(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slo:
    """A service level objective: which share of the events may be bad, over which period."""

    name: str
    title: str
    objective: float
    period_seconds: float
    valid: str  # a counter, perhaps with matchers; empty with a condition
    bad: str
    condition: Compare | None  # of a signal: when a minute is bad
    by: tuple[str, ...]
    minimum_events: float  # in the shortest long window; fewer say nothing
    absent_seconds: float  # how long nothing may be counted while its source is up; 0: for ever
    escalation: str | None
    team: str | None
    dashboard: str | None
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channel:
    """A way to tell somebody. ``options`` are those of its type, checked there."""

    name: str
    type: str
    options: Mapping[str, object]
    send_resolved: bool
    max_per_hour: int | None
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """How alerts of one severity are delivered."""

    channels: tuple[tuple[str, Place], ...]
    group_by: tuple[str, ...]
    group_wait_seconds: float
    group_interval_seconds: float
    repeat_interval_seconds: float
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """One step of an escalation: ``minutes`` after the alert began to fire."""

    minutes: float
    channels: tuple[tuple[str, Place], ...]
    escalate_to: str
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Escalation:
    """Who is told when nobody has fixed it."""

    name: str
    description: str
    levels: tuple[Level, ...]
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window(Maintenance):
    """A span, or a recurring one, in which alerts stay silent: those with these labels, or those of one route."""

    description: str
    owner: str
    route: str | None
    spares: tuple[str, ...] = ()  # rule_ids of alerts that are told all the same
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """What the whole bundle shares (``rules/bundle.yaml``)."""

    team: str = "jelmore"
    evaluation_interval_seconds: float = 15.0
    scrape_interval_seconds: float = 15.0
    retention_seconds: float = 15 * 86400.0
    runbook_url: str = ""
    grafana_url: str = ""
    analyzer_stale_seconds: float = 600.0
    target: Target = OLDEST  # what must understand the rendered files
    at_most: Mapping[str, int] = field(default_factory=dict)  # label -> how many values it can have


@dataclass(slots=True, kw_only=True, eq=False)
class Bundle:
    """Everything in ``rules/``."""

    settings: Settings = field(default_factory=Settings)
    signals: dict[str, Signal] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    slos: dict[str, Slo] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    everywhere: tuple[tuple[str, Place], ...] = ()
    routes: dict[str, Route] = field(default_factory=dict)
    escalations: dict[str, Escalation] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@lru_cache(maxsize=65_536)  # asked for in every line of rules and tests
def camel_case(rule_id: str) -> str:
    """``pipeline_stalled`` becomes ``PipelineStalled``."""
    return "".join(part.capitalize() for part in re.split("_+", rule_id))


@lru_cache(maxsize=65_536)
def _signals_of(alert: Alert) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for condition in (alert.condition, *alert.unless):
        found.update((part.signal, None) for part in simple_conditions(condition))
    return tuple(found)


@lru_cache(maxsize=65_536)
def simple_conditions(condition: Condition) -> tuple[Simple, ...]:
    """The conditions about one signal that a condition is made of, in the order written."""
    if isinstance(condition, Combined):
        return tuple(leaf for part in condition.parts for leaf in simple_conditions(part))
    return (condition,)
