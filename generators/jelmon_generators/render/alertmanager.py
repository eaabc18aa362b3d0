"""Render the routing tree as ``alertmanager.yml`` for a version of Alertmanager."""

import json
from typing import Any

from jelmon_generators.compile.routing import Inhibition, RoutingNode
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.channels import CHANNEL_TYPES, TEAMS_FLOWS, TIMEOUT_SINCE
from jelmon_generators.model.definitions import Channel
from jelmon_generators.model.windows import time_interval
from jelmon_generators.promql.expressions import duration
from jelmon_generators.targets import Version
from jelmon_generators.text import quoted

PATH = "alertmanager/alertmanager.yml"
TIMEOUT = "10s"
_NAMED_INHIBITION: Version = (0, 30)
_MAIL_THREADS: Version = (0, 30)


def configuration(made: Compilation) -> dict[str, Any]:
    """Return the configuration as plain data, keys in the order in which they are written."""
    routing, version = made.routing, made.target.alertmanager
    plain: dict[str, Any] = {
        "global": {"resolve_timeout": "5m"},
        "templates": ["templates/*.tmpl"],
        "route": _route(routing.root),
    }
    if routing.inhibitions:
        plain["inhibit_rules"] = [_inhibition(inhibition, version) for inhibition in routing.inhibitions]
    intervals = [time_interval(window) for window in made.bundle.windows.values() if window.route]
    if intervals:
        plain["time_intervals"] = intervals
    plain["receivers"] = [
        {"name": name, **_integrations([made.bundle.channels[channel] for channel in channels], version)}
        for name, channels in sorted(routing.receivers.items())
    ]
    return plain


def _route(node: RoutingNode) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if node.matchers:
        plain["matchers"] = [str(matcher) for matcher in node.matchers]
    plain["receiver"] = node.receiver
    if node.goes_on:
        plain["continue"] = True
    if node.group_by is not None:
        plain["group_by"] = list(node.group_by)
    for name in ("group_wait", "group_interval", "repeat_interval"):
        seconds = getattr(node, name)
        if seconds is not None:
            plain[name] = duration(seconds)
    if node.muted_in:
        plain["mute_time_intervals"] = list(node.muted_in)
    if node.routes:
        plain["routes"] = [_route(child) for child in node.routes]
    return plain


def _inhibition(inhibition: Inhibition, version: Version) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if version >= _NAMED_INHIBITION:
        plain["name"] = f"{inhibition.source}-{inhibition.target}"
    # the source's escalation levels add nothing; the target's levels are inhibited with the target
    plain["source_matchers"] = [f'rule_id="{inhibition.source}"', 'escalation_level=""']
    plain["target_matchers"] = [f'rule_id="{inhibition.target}"']
    plain["equal"] = list(inhibition.equal)
    return plain


def _integrations(channels: list[Channel], version: Version) -> dict[str, Any]:
    sections: dict[str, list[dict[str, object]]] = {}
    for channel in channels:
        section = CHANNEL_TYPES[channel.type].section
        if section is None:
            continue
        options = {**channel.options}
        if section in TIMEOUT_SINCE and version >= TIMEOUT_SINCE[section]:
            options["timeout"] = TIMEOUT
        if section == "email_configs" and version >= _MAIL_THREADS and channel.max_per_hour is None:
            # with a rate limit, unrelated alerts would share a thread; since 0.31 the date is required
            options["threading"] = {"enabled": True, "thread_by_date": "daily"}
        if section == "msteams_configs" and version >= TEAMS_FLOWS:
            section = "msteamsv2_configs"
        # resolved notifications would double the messages of a rate-limited channel
        options["send_resolved"] = channel.send_resolved and channel.max_per_hour is None
        sections.setdefault(section, []).append(options)
    return dict(sorted(sections.items()))


def render(made: Compilation) -> dict[str, str]:
    """Return the configuration file, and the templates of notifications that it names."""
    lines = ["# generated from rules/channels.yaml, rules/escalations.yaml and rules/alerts/, do not edit"]
    _write(configuration(made), 0, lines)
    return {PATH: "\n".join(lines) + "\n", **made.templates}


def _write(value: dict[str, Any], indent: int, lines: list[str]) -> None:
    """Append a mapping as YAML block text."""
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
    return quoted(value) if isinstance(value, str) else json.dumps(value)
