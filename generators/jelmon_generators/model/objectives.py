"""An objective as the dashboards show it: the names of its recorded signals, and where its alerts fire."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """A pair of windows of which both must burn for an alert to fire."""

    window: str  # the long one
    short: str  # recorded signals: the shares of bad events
    long: str
    threshold: float  # share of bad events
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """An objective of ``rules/slos.yaml``."""

    name: str
    title: str
    goal: float
    period: str
    by: tuple[str, ...]
    counted: str  # recorded signals: events in 5 minutes
    bad: str  # recorded signals: share of bad events over the period
    left: str
    exhausted_in: str
    series: str  # how many series are counted; empty without an alert on their absence
    burns: tuple[Burn, ...]
