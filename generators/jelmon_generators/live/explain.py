"""Explain who is notified of an alert, when, and what could suppress the notification."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jelmon.config.strict_yaml import did_you_mean
from jelmon.errors import ConfigError
from jelmon_generators.check.routes import EACH_ALONE, ROUTE_LABELS
from jelmon_generators.compile.delivery import Hop, hops
from jelmon_generators.compile.links import common_labels
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.definitions import Channel
from jelmon_generators.model.windows import covers, muted_until, mutes
from jelmon_generators.promql.expressions import duration


class Explanation(NamedTuple):
    """The explanation, line by line, and whether anybody is notified at that time."""

    lines: list[str]
    reaches_somebody: bool


def completed(made: Compilation, labels: Mapping[str, str]) -> dict[str, str]:
    """Complete the labels of an alert that is given by its name or ``rule_id``.

    Raises:
        ConfigError: there is no such alert, escalation level or label.
    """
    given = [name for name in ("alertname", "rule_id") if name in labels]
    known = {
        "alertname": {compiled.alert.name: compiled for compiled in made.compiled},
        "rule_id": {compiled.alert.rule_id: compiled for compiled in made.compiled},
    }
    for name in given:
        if labels[name] not in known[name]:
            raise ConfigError(
                f"no alert has {name}={labels[name]!r}",
                hint=did_you_mean(labels[name], known[name], otherwise="docs/alerts.md lists them"),
            )
    names = ROUTE_LABELS.union(*(compiled.expression.labels for compiled in made.compiled))
    full = dict(labels)
    if given:
        compiled = known[given[0]][labels[given[0]]]
        full = {"alertname": compiled.alert.name, **common_labels(compiled.alert), **labels}
        if full["alertname"] != compiled.alert.name or full["rule_id"] != compiled.alert.rule_id:
            raise ConfigError(f"{labels['alertname']} has the rule_id {compiled.alert.rule_id!r}")
    for name in labels:
        if name not in names:
            raise ConfigError(
                f"no alert has a label {name!r}",
                hint=did_you_mean(name, names, otherwise=f"labels of alerts: {', '.join(sorted(names))}"),
            )
    _check_level(made, full)
    return full


def _check_level(made: Compilation, labels: Mapping[str, str]) -> None:
    name = labels.get("escalation")
    if name is not None and name not in made.bundle.escalations:
        raise ConfigError(f"no escalation {name!r}", hint=did_you_mean(name, made.bundle.escalations))
    level = labels.get("escalation_level")
    if level and name is None:
        raise ConfigError("the alert has no escalation, so no escalation_level")
    if level and name and level not in map(str, range(1, len(made.bundle.escalations[name].levels) + 1)):
        most = len(made.bundle.escalations[name].levels)
        raise ConfigError(f"escalation_level={level!r}: the escalation {name!r} has levels 1 to {most}")


def explain(made: Compilation, given: Mapping[str, str], moment: datetime) -> Explanation:
    """Return the explanation; the labels are completed."""
    labels = completed(made, given)
    lines = ["labels:    " + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))]
    lines.append(f"at:        {moment.isoformat(timespec='minutes')}")
    reached = False
    for hop in hops(made.routing.root, labels):
        lines.extend(("", *_route(made, hop, labels, moment)))
        reached = reached or (bool(_people(made, hop)) and not _muting(made, hop, moment))
    escalation = made.bundle.escalations.get(labels.get("escalation", ""))
    if escalation is not None and not labels.get("escalation_level"):
        for place in range(1, len(escalation.levels) + 1):
            lines.extend(("", *_level(made, labels, place, moment)))
    silences = list(_silences(made, labels, moment))
    inhibitions = list(_inhibitions(made, labels))
    lines.extend(("", *(silences + inhibitions or ["not suppressed"])))
    reached = reached and not silences
    if not reached:
        lines.extend(("", "NOBODY IS NOTIFIED at that time" + _why_nobody(made, labels)))
    return Explanation(lines, reached)


def _people(made: Compilation, hop: Hop) -> list[Channel]:
    """Return the channels of a route that notify: a log is no notification."""
    channels = [made.bundle.channels[name] for name in made.routing.receivers[hop.receiver]]
    return [channel for channel in channels if channel.type != "log"]


def _why_nobody(made: Compilation, labels: Mapping[str, str]) -> str:
    if any(_people(made, hop) for hop in hops(made.routing.root, labels)):
        return ""
    return ": no route of this alert has a channel other than a log; see channels: [...] in rules/channels.yaml"


def _muting(made: Compilation, hop: Hop, moment: datetime) -> list[str]:
    return [name for name in hop.muted_in if mutes(made.bundle.windows[name], moment)]


def _route(made: Compilation, hop: Hop, labels: Mapping[str, str], moment: datetime) -> Iterator[str]:
    known = [made.bundle.channels[name] for name in made.routing.receivers[hop.receiver]]
    yield f"receiver:  {hop.receiver}"
    yield "  route:    " + (" > ".join(hop.path) or "root")
    yield "  channels: " + (", ".join(f"{channel.name} ({channel.type})" for channel in known) or "none")
    group = ", ".join(f"{name}={labels.get(name, '')!r}" for name in hop.group_by)
    alone = EACH_ALONE in hop.group_by
    yield f"  group:    {'each alert alone' if alone else group or 'all alerts in one group'}"
    again = f"every {duration(hop.told_again_after)}"
    if hop.told_again_after != hop.repeat_interval:
        again += f" (first flush after more than {duration(hop.repeat_interval)})"
    yield (
        f"  timing:   after {duration(hop.group_wait)}; new alerts of the group after"
        f" {duration(hop.group_interval)}; repeated {again}"
    )
    open_now = _muting(made, hop, moment)
    if open_now:
        yield f"  muted:    now, by window {', '.join(_until(made, name, moment) for name in open_now)}"
    elif hop.muted_in:
        yield f"  muted:    not now, but in window {', '.join(hop.muted_in)}"


def _until(made: Compilation, name: str, moment: datetime) -> str:
    window = made.bundle.windows[name]
    end = muted_until(window, moment)
    return f"{name} until {_local(end, window.zone)}" if end else f"{name}, which does not close within a week"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    there = f"{moment.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}"
    return there if zone.key == "UTC" else f"{there} ({moment.astimezone(UTC):%H:%M} UTC)"


def _level(made: Compilation, labels: Mapping[str, str], place: int, moment: datetime) -> Iterator[str]:
    level = made.bundle.escalations[labels["escalation"]].levels[place - 1]
    due = moment + timedelta(minutes=level.minutes)
    at_level = {**labels, "escalation_level": str(place)}
    yield (
        f"level {place}:   {duration(level.minutes * 60)} after it starts to fire, {due.isoformat(timespec='minutes')}"
        f" if that is now: {level.escalate_to}"
    )
    for hop in hops(made.routing.root, at_level):
        known = [made.bundle.channels[name] for name in made.routing.receivers[hop.receiver]]
        yield "  channels: " + (", ".join(f"{channel.name} ({channel.type})" for channel in known) or "none")
        for name in _muting(made, hop, due):
            yield f"  muted:    then, by window {_until(made, name, due)}"
        if not _people(made, hop):
            yield "  NOBODY IS NOTIFIED: a log is no notification"
    for line in _silences(made, at_level, due):
        yield f"  {line.replace('silenced: ', 'silenced: then, ')}"


def _silences(made: Compilation, labels: Mapping[str, str], moment: datetime) -> Iterator[str]:
    """Yield what silences the alert at that time."""
    for window in made.bundle.windows.values():
        if occurrence := covers(window, moment, labels):
            yield f"silenced: by window {window.name} until {_local(occurrence.ends, window.zone)}"


def _inhibitions(made: Compilation, labels: Mapping[str, str]) -> Iterator[str]:
    for inhibition in made.routing.inhibitions:
        if inhibition.target == labels.get("rule_id"):
            same = f" for the same {', '.join(inhibition.equal)}" if inhibition.equal else ""
            yield f"inhibited: while {made.bundle.alerts[inhibition.source].name} fires{same}"
