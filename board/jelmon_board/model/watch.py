"""Rules for people: each alert once, its levels of escalation, when the next one comes, and who hears of it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from jelmon_board.model.alerts import Alert, Silence
from jelmon_board.model.routes import Route
from jelmon_board.model.rules import AlertRule

_STATES = ("firing", "pending", "inactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of escalation."""

    number: int
    after_seconds: float | None
    who: str
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One alert as Prometheus watches it."""

    rule: AlertRule
    state: str
    firing: int
    since: float | None
    levels: tuple[Level, ...]
    receivers: tuple[str, ...]
    next_level: Level | None
    next_at: float | None
    silence: Silence | None

    @property
    def severity(self) -> str:
        return self.rule.labels.get("severity", "none")


def watched(
    rules: Iterable[AlertRule], routes: Route | None, alerts: Iterable[Alert], silences: Iterable[Silence]
) -> list[Watched]:
    """Return every alert; firing ones first."""
    groups: dict[tuple[str, str], list[AlertRule]] = defaultdict(list)
    for rule in rules:
        groups[rule.name, rule.rule_id].append(rule)
    oldest: dict[str, Alert] = {}
    for alert in alerts:
        if alert.name not in oldest or alert.since < oldest[alert.name].since:
            oldest[alert.name] = alert
    active = [silence for silence in silences if silence.active]
    rows = [_watched(group, routes, oldest.get(name), active) for (name, _), group in groups.items()]
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(rows, key=lambda row: (_STATES.index(row.state), order.get(row.severity, 3), row.rule.name))


def _watched(group: list[AlertRule], routes: Route | None, oldest: Alert | None, active: list[Silence]) -> Watched:
    """Return one alert from its rule and those of its levels."""
    group.sort(key=lambda rule: rule.level)
    base = group[0]
    labels = {"alertname": base.name, **base.labels}
    firing = [alert for alert in base.alerts if alert.state == "firing"]
    levels = tuple(
        Level(
            number=rule.level,
            after_seconds=rule.after_seconds,
            who=rule.annotations.get("escalate_to", ""),
            receivers=_receivers(routes, {**labels, **rule.labels}),
        )
        for rule in group
        if rule.level
    )
    since = min((alert.since for alert in firing), default=None)
    if since is not None and oldest is not None:
        since = max(since, oldest.since)
    reached = oldest.level if oldest is not None else 0
    following = next((level for level in levels if level.number > reached), None) if firing else None
    return Watched(
        rule=base,
        state="firing" if firing else "pending" if base.alerts else "inactive",
        firing=len(firing),
        since=since,
        levels=levels,
        receivers=_receivers(routes, labels),
        next_level=following,
        next_at=_at(since, following),
        silence=next((silence for silence in active if silence.covers(labels)), None),
    )


def _at(since: float | None, level: Level | None) -> float | None:
    if since is None or level is None or level.after_seconds is None:
        return None
    return since + level.after_seconds


def _receivers(routes: Route | None, labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(routes.receivers(labels)) if routes is not None else ()
