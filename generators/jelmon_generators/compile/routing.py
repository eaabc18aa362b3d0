"""Channels, routing and escalations to the tree that Alertmanager walks, as data.

Every route has one receiver: the channels it names plus those of ``everywhere``, so that nothing else depends on
``continue`` (two routes with equal matchers, grouping and receiver would share one notification log). The exception:
a channel with a rate limit has its own route, in which all its alerts form a single group, since a group is notified
at most once per interval. Critical alerts and escalation levels bypass that limit.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from jelmon_generators.compile.rules import Compiled
from jelmon_generators.model.definitions import Alert, Bundle, Channel, Route
from jelmon_generators.promql.expressions import shared

ONE_GROUP = ("all_in_one_group",)
"""Grouping by a label that no alert has forms one group; an empty list would inherit the parent's grouping."""


class Matcher(NamedTuple):
    """``name operator "value"``, as in Alertmanager: a missing label is an empty one."""

    name: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels satisfy it."""
        have = labels.get(self.name, "")
        if self.operator in ("=", "!="):
            return (have == self.value) == (self.operator == "=")
        return (re.fullmatch(self.value, have) is not None) == (self.operator == "=~")

    def __str__(self) -> str:
        return f'{self.name}{self.operator}"{self.value}"'


@dataclass(frozen=True, slots=True)
class RoutingNode:
    """One node of the routing tree. Timing that is None is inherited."""

    matchers: tuple[Matcher, ...]
    receiver: str
    group_by: tuple[str, ...] | None = None
    group_wait: float | None = None
    group_interval: float | None = None
    repeat_interval: float | None = None
    goes_on: bool = False
    muted_in: tuple[str, ...] = ()
    routes: tuple["RoutingNode", ...] = ()


class Inhibition(NamedTuple):
    """While ``source`` fires, ``target`` does not notify, for equal values of these labels."""

    source: str
    target: str
    equal: tuple[str, ...]


@dataclass(slots=True)
class Receivers:
    """The receivers that routes use: one for each set of channels."""

    channels: Mapping[str, Channel]
    everywhere: tuple[str, ...]
    used: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, names: Iterable[str], *, past_limits: bool = False) -> str:
        """Return the name of the receiver with these channels and those of ``everywhere``."""
        wanted = [name for name in names if past_limits or self.channels[name].max_per_hour is None]
        chosen = tuple(dict.fromkeys((*self.everywhere, *wanted)))
        return self._named("+".join(chosen) or "nobody", chosen)

    def limited(self, name: str) -> str:
        """Return the name of the receiver of one channel with a rate limit."""
        return self._named(name, (name,))

    def _named(self, name: str, channels: tuple[str, ...]) -> str:
        self.used[name] = channels
        return name


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything that decides who is notified."""

    root: RoutingNode
    receivers: Mapping[str, tuple[str, ...]]
    inhibitions: tuple[Inhibition, ...]


def routing(bundle: Bundle, compiled: Iterable[Compiled]) -> Routing:
    """Return the tree: watchdog first, then channels with a limit, escalation levels, severities."""
    muted = {name: _muted(name, bundle) for name in bundle.routes}
    receivers = Receivers(bundle.channels, tuple(name for name, _ in bundle.everywhere))
    routes = bundle.routes
    escalated = _node((Matcher("escalation_level", "!=", ""),), routes["escalation"], receivers, muted["escalation"])
    children = [
        _node((Matcher("rule_id", "=", "watchdog"),), routes["watchdog"], receivers, muted["watchdog"]),
        *_limited(bundle, receivers),
        replace(escalated, routes=_levels(bundle, receivers)),
    ]
    for severity in ("critical", "warning", "info"):
        critical = severity == "critical"
        node = _node(
            (Matcher("severity", "=", severity),), routes[severity], receivers, muted[severity], past_limits=critical
        )
        alert_routes = tuple(
            RoutingNode(
                (Matcher("rule_id", "=", alert.rule_id),),
                receivers.of((name for name, _ in alert.channels), past_limits=critical),
                muted_in=muted[severity],
            )
            for alert in bundle.alerts.values()
            if alert.severity == severity and alert.channels
        )
        children.append(replace(node, routes=alert_routes))
    root = RoutingNode((), receivers.of(()), ("alertname",), 30.0, 300.0, 4 * 3600.0, routes=tuple(children))
    return Routing(root, receivers.used, _inhibitions(compiled))


def channels_of(alert: Alert, bundle: Bundle) -> tuple[str, ...]:
    """Return the channels of the alert itself, without those of ``everywhere``."""
    if alert.rule_id == "watchdog":
        return tuple(name for name, _ in bundle.routes["watchdog"].channels)
    if alert.channels:
        return tuple(name for name, _ in alert.channels)
    route = bundle.routes.get(alert.severity)
    return tuple(name for name, _ in route.channels) if route else ()


def _node(
    matchers: tuple[Matcher, ...],
    route: Route,
    receivers: Receivers,
    muted_in: tuple[str, ...],
    *,
    past_limits: bool = False,
) -> RoutingNode:
    return RoutingNode(
        matchers,
        receivers.of((name for name, _ in route.channels), past_limits=past_limits),
        route.group_by,
        route.group_wait_seconds,
        route.group_interval_seconds,
        route.repeat_interval_seconds,
        muted_in=muted_in,
    )


def _muted(route: str, bundle: Bundle) -> tuple[str, ...]:
    return tuple(window.name for window in bundle.windows.values() if window.route == route)


def _limited(bundle: Bundle, receivers: Receivers) -> Iterable[RoutingNode]:
    """Yield a route for each channel with a rate limit that an alert reaches."""
    for name, channel in bundle.channels.items():
        if channel.max_per_hour is None:
            continue
        ids: dict[tuple[str, ...], list[str]] = {}  # by the windows that mute them: a route is muted as a whole
        for alert in bundle.alerts.values():
            if alert.severity != "critical" and name in channels_of(alert, bundle):
                ids.setdefault(_muted(alert.severity, bundle), []).append(alert.rule_id)
        # each flush of a group is one message
        interval = 3600.0 / channel.max_per_hour
        for muted_in, members in ids.items():
            yield RoutingNode(
                (Matcher("rule_id", "=~", "|".join(sorted(members))), Matcher("escalation_level", "=", "")),
                receivers.limited(name),
                ONE_GROUP,
                30.0,
                interval,
                max(4 * 3600.0, interval),
                goes_on=True,
                muted_in=muted_in,
            )


def _levels(bundle: Bundle, receivers: Receivers) -> tuple[RoutingNode, ...]:
    return tuple(
        RoutingNode(
            (Matcher("escalation", "=", escalation.name), Matcher("escalation_level", "=", str(place))),
            receivers.of((name for name, _ in level.channels), past_limits=True),
            muted_in=_muted("escalation", bundle),  # Alertmanager does not inherit it
        )
        for escalation in bundle.escalations.values()
        for place, level in enumerate(escalation.levels, 1)
    )


def _inhibitions(compiled: Iterable[Compiled]) -> tuple[Inhibition, ...]:
    by_id = {alert_rules.alert.rule_id: alert_rules for alert_rules in compiled}
    return tuple(
        Inhibition(
            parent,
            child.alert.rule_id,
            tuple(sorted(shared(by_id[parent].expression.labels, child.expression.labels))),
        )
        for child in by_id.values()
        for parent, _ in child.alert.inhibited_by
    )
