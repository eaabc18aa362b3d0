"""Channels, routing and escalations to ``alertmanager.yml``.

Every route has one receiver: the channels it names plus those that hear everything, so nothing depends on ``continue``
(two routes with equal matchers, grouping and receiver would share one notification log).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jelmon.errors import ConfigError
from jelmon.generators.channels import CHANNEL_TYPES
from jelmon.generators.definitions import Bundle, Channel, Route
from jelmon.generators.expressions import duration
from jelmon.handwritten import did_you_mean

PATH = "alertmanager/alertmanager.yml"


@dataclass(frozen=True, slots=True)
class RoutingNode:
    """One node of the routing tree."""

    matchers: tuple[str, ...]
    receiver: str
    group_by: tuple[str, ...] | None = None
    group_wait: float | None = None
    group_interval: float | None = None
    repeat_interval: float | None = None
    routes: tuple["RoutingNode", ...] = ()


@dataclass(slots=True)
class Receivers:
    """The receivers that routes asked for: one for each different set of channels."""

    channels: Mapping[str, Channel]
    everywhere: tuple[str, ...]
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, names: Iterable[str]) -> str:
        """The name of the receiver that tells these channels and those that hear everything."""
        chosen = tuple(dict.fromkeys((*self.everywhere, *names)))
        name = "+".join(chosen) or "nobody"
        self.asked[name] = chosen
        return name


def with_urls(bundle: Bundle, urls: Mapping[str, str]) -> None:
    """Point webhook channels elsewhere: the local stack has its own ports.

    Raises:
        ConfigError: no such channel, or it is no webhook.
    """
    for name, url in urls.items():
        channel = bundle.channels.get(name)
        if channel is None:
            raise ConfigError(f"--channel-url: no channel {name!r}", hint=did_you_mean(name, bundle.channels))
        if channel.type != "webhook":
            raise ConfigError(f"--channel-url: channel {name!r} is no webhook", hint="only webhooks have an address")
        bundle.channels[name] = replace(channel, options={"url": url})


def routing_tree(bundle: Bundle) -> tuple[RoutingNode, Receivers]:
    """The tree that Alertmanager walks: watchdog, escalation levels, then severities."""
    receivers = Receivers(bundle.channels, tuple(name for name, _ in bundle.everywhere))
    routes = bundle.routes
    children = [
        _node(('rule_id="watchdog"',), routes["watchdog"], receivers),
        replace(_node(('escalation_level!=""',), routes["escalation"], receivers), routes=_levels(bundle, receivers)),
    ]
    for severity in ("critical", "warning", "info"):
        own = tuple(
            RoutingNode((f'rule_id="{alert.rule_id}"',), receivers.of(name for name, _ in alert.channels))
            for alert in bundle.alerts.values()
            if alert.severity == severity and alert.channels
        )
        children.append(replace(_node((f'severity="{severity}"',), routes[severity], receivers), routes=own))
    root = RoutingNode((), receivers.of(()), ("alertname",), 30.0, 300.0, 4 * 3600.0, tuple(children))
    return root, receivers


def _node(matchers: tuple[str, ...], route: Route, receivers: Receivers) -> RoutingNode:
    return RoutingNode(
        matchers,
        receivers.of(name for name, _ in route.channels),
        route.group_by,
        route.group_wait_seconds,
        route.group_interval_seconds,
        route.repeat_interval_seconds,
    )


def _levels(bundle: Bundle, receivers: Receivers) -> tuple[RoutingNode, ...]:
    return tuple(
        RoutingNode(
            (f'escalation="{escalation.name}"', f'escalation_level="{place}"'),
            receivers.of(name for name, _ in level.channels),
        )
        for escalation in bundle.escalations.values()
        for place, level in enumerate(escalation.levels, 1)
    )


def configuration(bundle: Bundle) -> dict[str, Any]:
    """The whole configuration as plain data, keys in the order to write them."""
    root, receivers = routing_tree(bundle)
    return {
        "global": {"resolve_timeout": "5m"},
        "templates": ["templates/*.tmpl"],
        "route": _plain_route(root),
        "receivers": [
            {"name": name, **_integrations([bundle.channels[channel] for channel in channels])}
            for name, channels in sorted(receivers.asked.items())
        ],
    }


def _plain_route(node: RoutingNode) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if node.matchers:
        plain["matchers"] = list(node.matchers)
    plain["receiver"] = node.receiver
    if node.group_by is not None:
        plain["group_by"] = list(node.group_by)
    for name in ("group_wait", "group_interval", "repeat_interval"):
        seconds = getattr(node, name)
        if seconds is not None:
            plain[name] = duration(seconds)
    if node.routes:
        plain["routes"] = [_plain_route(child) for child in node.routes]
    return plain


def _integrations(channels: list[Channel]) -> dict[str, Any]:
    sections: dict[str, list[dict[str, object]]] = {}
    for channel in channels:
        section = CHANNEL_TYPES[channel.type].section
        if section is not None:
            sections.setdefault(section, []).append({**channel.options, "send_resolved": channel.send_resolved})
    return dict(sorted(sections.items()))


def render(bundle: Bundle) -> dict[str, str]:
    """The configuration file."""
    lines = ["# generated from rules/channels.yaml, rules/escalations.yaml and rules/alerts/, do not edit"]
    _write(configuration(bundle), 0, lines)
    return {PATH: "\n".join(lines) + "\n"}


def _write(value: dict[str, Any], indent: int, lines: list[str]) -> None:
    """A mapping as YAML block text."""
    space = " " * indent
    for key, item in value.items():
        match item:
            case dict():
                lines.append(f"{space}{key}:")
                _write(item, indent + 2, lines)
            case [dict(), *_]:
                lines.append(f"{space}{key}:")
                for member in item:
                    start = len(lines)
                    _write(member, indent + 4, lines)
                    lines[start] = f"{space}  - {lines[start].lstrip()}"
            case list():
                lines.append(f"{space}{key}: [{', '.join(_scalar(member) for member in item)}]")
            case _:
                lines.append(f"{space}{key}: {_scalar(item)}")


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
