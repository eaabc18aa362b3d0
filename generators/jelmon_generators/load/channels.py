"""``rules/channels.yaml`` to definitions: channels, and the routes that use them."""

from typing import NamedTuple

from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.checks import CHANNEL, YAML
from jelmon_generators.model.channels import CHANNEL_TYPES
from jelmon_generators.model.definitions import Channel, Route
from jelmon_generators.model.naming import NAME, add

_ROUTES = ("watchdog", "escalation", "critical", "warning", "info")


class Routing(NamedTuple):
    """The channels of every alert, and the routes by name."""

    everywhere: tuple[tuple[str, Place], ...] = ()
    routes: dict[str, Route] = {}  # noqa: RUF012 (never changed)


def read_channels(fields: Fields) -> tuple[dict[str, Channel], Routing]:
    """Return the channels by name, and the routing."""
    channels: dict[str, Channel] = {}
    for name, entry in fields.entries("channels"):
        add(channels, name, _channel(name, entry), entry.place, "channel", NAME)
    routing = _routing(fields)
    fields.done("channels.yaml")
    return channels, routing


def _channel(name: str, entry: Fields) -> Channel:
    before = len(entry.place.source.problems)
    kind = entry.choice("type", CHANNEL_TYPES)
    if len(entry.place.source.problems) > before:  # the other fields depend on the type
        return Channel(name=name, type="log", options={}, send_resolved=True, max_per_hour=None, fields=entry)
    channel = Channel(
        name=name,
        type=kind,
        options=CHANNEL_TYPES[kind].read(entry),
        send_resolved=entry.flag("send_resolved", True),
        max_per_hour=_max_per_hour(entry.mapping("rate_limit")),
        fields=entry,
    )
    entry.done(f"a channel of type {kind}")
    return channel


def _max_per_hour(limit: Fields | None) -> int | None:
    if limit is None:
        return None
    number = int(limit.number("max_per_hour"))
    if not 1 <= number <= 60:
        CHANNEL.report(limit.at("max_per_hour"), "max_per_hour must be between 1 and 60")
    limit.done("a rate limit")
    return number


def _routing(fields: Fields) -> Routing:
    routing = fields.mapping("routing")
    if routing is None:
        YAML.report(
            fields.place, "field 'routing' is missing", hint="routing: {critical: {...}, warning: {...}, info: {...}}"
        )
        return Routing()
    everywhere = tuple(routing.texts("everywhere"))
    routes = {}
    for name in _ROUTES:
        route = routing.mapping(name)
        if route is None:
            YAML.report(routing.place, f"field {name!r} is missing")
            continue
        interval = route.duration("group_interval", 300.0)
        # the watchdog is a heartbeat: notified at every flush of its group, which an equal interval would halve
        repeat = max(interval - 10.0, interval * 0.8) if name == "watchdog" else 4 * 3600.0
        routes[name] = Route(
            channels=tuple(route.texts("channels")),
            group_by=tuple(label for label, _ in route.texts("group_by")) or ("alertname",),
            group_wait_seconds=route.duration("group_wait", 30.0),
            group_interval_seconds=interval,
            repeat_interval_seconds=route.duration("repeat_interval", repeat),
            fields=route,
        )
        for field in ("group_interval", "repeat_interval"):
            if route.has(field) and getattr(routes[name], f"{field}_seconds") <= 0:
                CHANNEL.report(route.at(field), f"{field} must be above 0")
        route.done("a route")
    routing.done("routing")
    return Routing(everywhere, routes)
