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
    rows = []
    for (name, _), group in groups.items():
        group.sort(key=lambda rule: rule.level)
        base = group[0]
        labels = {"alertname": name, **base.labels}
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
        if since is not None and name in oldest:
            since = max(since, oldest[name].since)
        reached = oldest[name].level if name in oldest else 0
        following = next((level for level in levels if level.number > reached), None) if firing else None
        delay = following.after_seconds if following is not None else None
        rows.append(
            Watched(
                rule=base,
                state="firing" if firing else "pending" if base.alerts else "inactive",
                firing=len(firing),
                since=since,
                levels=levels,
                receivers=_receivers(routes, labels),
                next_level=following,
                next_at=since + delay if since is not None and delay is not None else None,
                silence=next((silence for silence in active if silence.covers(labels)), None),
            )
        )
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(rows, key=lambda row: (_STATES.index(row.state), order.get(row.severity, 3), row.rule.name))


def _receivers(routes: Route | None, labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(routes.receivers(labels)) if routes is not None else ()
