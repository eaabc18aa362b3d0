"""What a person declares in ``rules/``, as frozen data: alerts, objectives, channels, routing, escalations, windows.

Names are checked against each other and against the catalogue in `check`; only the shape is here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from jelmon.bundle.maintenance import Maintenance
from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.model.conditions.base import Condition, SignalCondition
from jelmon_generators.model.conditions.comparison import Compare
from jelmon_generators.model.settings import Settings
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.series import Series, known_series

SEVERITIES = ("critical", "warning", "info", "none")


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
    limit: int | None  # with more alerts than this at once, the rule itself is at fault
    dashboard: str | None
    panel: str | None
    source: str  # the file that defines it
    objectives: tuple[str, ...] = ()  # the objective that it is generated from
    windows: tuple[tuple[str, Place], ...] | None = None  # the only ones that silence it; None: every one that matches
    fields: Fields

    @property
    def name(self) -> str:
        """The alert's name in Prometheus: ``pipeline_stalled`` becomes ``PipelineStalled``."""
        return camel_case(self.rule_id)

    @property
    def signals(self) -> tuple[str, ...]:
        """Every signal that it refers to, in the order written."""
        return _signals_of(self)

    @property
    def leaves(self) -> tuple[SignalCondition, ...]:
        """The conditions about one signal that it consists of, exceptions included."""
        return _leaves_of(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slo:
    """A service level objective: the share of events that may be bad over a period."""

    name: str
    title: str
    objective: float
    period_seconds: float
    valid: str  # a counter, optionally with matchers; empty with a condition
    bad: str
    condition: Compare | None  # when a minute is bad, for an objective over a signal
    by: tuple[str, ...]
    minimum_events: float  # in the shortest long window; fewer are not significant
    absent_seconds: float  # how long the counters may be missing while their source is up; 0: forever
    escalation: str | None
    team: str | None
    dashboard: str | None
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channel:
    """A way to notify people. ``options`` are those of its type."""

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
    """One step of an escalation, ``minutes`` after the alert started to fire."""

    minutes: float
    channels: tuple[tuple[str, Place], ...]
    escalate_to: str
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Escalation:
    """Whom to notify while an alert keeps firing."""

    name: str
    description: str
    levels: tuple[Level, ...]
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window(Maintenance):
    """A time span, possibly recurring, in which alerts with certain labels or of one route are silenced."""

    description: str
    owner: str
    route: str | None
    spares: tuple[str, ...] = ()  # rule_ids of alerts that notify nevertheless
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """Everything in ``rules/``; each table by name, in the order written."""

    settings: Settings = field(default_factory=Settings)
    series: Mapping[str, Series] = field(default_factory=known_series)  # that definitions may read
    signals: Mapping[str, Signal] = field(default_factory=dict)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    slos: Mapping[str, Slo] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    everywhere: tuple[tuple[str, Place], ...] = ()
    routes: Mapping[str, Route] = field(default_factory=dict)
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)


@lru_cache(maxsize=65_536)  # needed for every line of rules and tests
def camel_case(rule_id: str) -> str:
    """Return the name of an alert: ``pipeline_stalled`` becomes ``PipelineStalled``."""
    return "".join(part.capitalize() for part in re.split("_+", rule_id))


@lru_cache(maxsize=65_536)
def _signals_of(alert: Alert) -> tuple[str, ...]:
    return tuple(dict.fromkeys(leaf.signal for leaf in alert.leaves))


@lru_cache(maxsize=65_536)
def _leaves_of(alert: Alert) -> tuple[SignalCondition, ...]:
    return tuple(leaf for condition in (alert.condition, *alert.unless) for leaf in condition.leaves)
