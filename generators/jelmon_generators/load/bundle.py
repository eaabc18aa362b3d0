"""``rules/*.yaml`` to definitions: one function for each kind of thing."""

import math
import re
from collections.abc import Callable
from pathlib import Path

from jelmon.config.strict_yaml import Fields, did_you_mean, read
from jelmon.errors import ConfigError, Problem
from jelmon_generators.load import slos, windows
from jelmon_generators.load.alerts import read_alerts
from jelmon_generators.model.channels import CHANNEL_TYPES
from jelmon_generators.model.definitions import (
    Bundle,
    Channel,
    Direction,
    Escalation,
    Example,
    Level,
    Route,
    Settings,
    Signal,
)
from jelmon_generators.model.naming import IDENTIFIER, NAME, add
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.aggregations import AggregationError, Name, UnsoundNameError, compile_value, metric_hint
from jelmon_generators.promql.analysis import Fault, Limits, analyse
from jelmon_generators.promql.series import known_series
from jelmon_generators.targets import OLDEST, Target

_SELECTOR = re.compile(r"([a-zA-Z_]\w*)(?:\{(.*)\})?")


def load(root: Path) -> Bundle:
    """Read everything under ``root/rules``. Faults are in the bundle's ``problems``; the caller stops."""
    bundle = Bundle()
    problems = bundle.problems
    rules = root / "rules"
    readers: dict[str, Callable[[Bundle, Fields], None]] = {
        "bundle.yaml": _read_settings,
        "signals.yaml": _read_signals,
        "slos.yaml": slos.read_slos,
        "channels.yaml": _read_channels,
        "escalations.yaml": _read_escalations,
        "windows.yaml": windows.read_windows,
    }
    for path in sorted(rules.glob("*.y*ml")):
        reader = readers.get(path.name)
        if reader is None:
            hint = f"the files of rules/ are {', '.join(readers)} and those in alerts/"
            problems.append(Problem(f"rules/{path.name}", 0, "nobody reads this file", hint))
            continue
        if fields := read(root, f"rules/{path.name}", problems):
            reader(bundle, fields)
    paths = sorted((rules / "alerts").glob("*.y*ml"))
    for path in paths:
        if fields := read(root, f"rules/alerts/{path.name}", problems):
            read_alerts(bundle, fields)
    for name, what, found in (
        ("signals.yaml", "signals", bundle.signals),
        ("channels.yaml", "channels", bundle.channels),
    ):
        if not found and not any(problem.path == f"rules/{name}" for problem in problems):
            problems.append(Problem(f"rules/{name}", 0, f"no {what} are declared", "docs/alerting.md shows how"))
    if not paths:
        problems.append(Problem("rules/alerts", 0, "no alert definitions found", "is --root the repository root?"))
    return bundle


# --- bundle.yaml ---


def _read_settings(bundle: Bundle, fields: Fields) -> None:
    plain = Settings()
    faults = len(bundle.problems)
    bundle.settings = Settings(
        team=fields.text("team", plain.team),
        evaluation_interval_seconds=fields.duration("evaluation_interval", plain.evaluation_interval_seconds),
        scrape_interval_seconds=fields.duration("scrape_interval", plain.scrape_interval_seconds),
        retention_seconds=fields.duration("retention", plain.retention_seconds),
        runbook_url=fields.text("runbook_url", plain.runbook_url).rstrip("/"),
        grafana_url=fields.text("grafana_url", plain.grafana_url).rstrip("/"),
        analyzer_stale_seconds=fields.duration("analyzer_stale_after", plain.analyzer_stale_seconds),
        target=_target(fields),
        at_most=_at_most(fields.mapping("at_most")),
    )
    fields.done("the bundle's settings")
    settings = bundle.settings
    for name, seconds, longest in (
        ("evaluation_interval", settings.evaluation_interval_seconds, 300.0),
        ("scrape_interval", settings.scrape_interval_seconds, 120.0),
        ("retention", settings.retention_seconds, math.inf),
    ):
        if len(bundle.problems) == faults and not 0 < seconds <= longest:
            fields.at(name).refuse(f"{name} must be above 0 and at most {longest:g} seconds")
    if len(bundle.problems) > faults:
        bundle.settings = plain


def _at_most(fields: Fields | None) -> dict[str, int]:
    """How many values labels can have."""
    labels = frozenset().union(*(series.labels for series in known_series().values()))
    found = {}
    for label in list(fields.nodes) if fields else ():
        assert fields is not None
        told = len(fields.place.source.problems)
        number = fields.number(label)
        if label not in labels:
            fields.keys[label].refuse(f"no metric has a label {label!r}", hint=did_you_mean(label, labels))
        elif (number < 1 or number != int(number)) and len(fields.place.source.problems) == told:
            fields.at(label).refuse("at_most: how many values the label can have, as a whole number")
        found[label] = int(number)
    return found


def _target(fields: Fields) -> Target:
    text = fields.text("target", None)
    if text is None:
        return OLDEST
    try:
        return Target.parse(text)
    except ConfigError as error:
        fields.at("target").refuse(error.message, hint=error.hint)
        return OLDEST


# --- signals.yaml ---


def _read_signals(bundle: Bundle, fields: Fields) -> None:
    names = _names(fields)
    for name, entry in fields.entries("signals"):
        limits = entry.mapping("range")
        low = high = None
        if limits is not None:
            low, high = limits.number("min", None), limits.number("max", None)
            limits.done("a range")
        expr = _signal_expression(entry, names)
        signal = Signal(
            name=name,
            description=entry.text("description"),
            unit=entry.text("unit"),
            direction=Direction(entry.choice("direction", Direction)),
            expr=expr or "vector(0)",
            reads=None if expr else (frozenset(), ()),  # a stand-in is not judged
            low=low,
            high=high,
            job=entry.text("job", None),
            example=_example(entry.mapping("example")),
            fields=entry,
        )
        entry.done("a signal")
        add(bundle.signals, name, signal, entry.place, "signal", IDENTIFIER)
    fields.done("signals.yaml")


def _names(fields: Fields) -> dict[str, Name]:
    """Short names of metrics, for the language of `aggregations`."""
    found = {}
    for name, text, place in fields.plain("names"):
        match = _SELECTOR.fullmatch(text)
        stands_for = Name(match.group(1), match.group(2) or "") if match else Name("", sound=False)
        if match is None:
            place.refuse(f"{text!r} is not a metric with matchers", hint='write name or name{label="value"}')
        elif faults := _faults(stands_for):
            stands_for = stands_for._replace(sound=False)
            for fault in faults:
                underlined(place, fault.needle).refuse(fault.message, hint=fault.hint)
        found[name] = stands_for
    return found


def _faults(name: Name) -> list[Fault]:
    """What is wrong with the metric or the matchers of a name."""
    metric = name.family
    if metric is None:
        return [Fault(f"unknown metric {name.metric!r}", metric_hint(name.metric), name.metric)]
    return analyse(f"count({metric.series[-1]}{{{name.matchers}}})", known_series(), Limits()).faults


def _signal_expression(entry: Fields, names: dict[str, Name]) -> str | None:
    """PromQL as written, or made of a value in the language of `aggregations`; None when it is wrong, which is told."""
    by = tuple(label for label, _ in entry.texts("by")) or ("pipeline",)
    if entry.has("expr") == entry.has("value"):
        entry.text("expr", None), entry.text("value", None)  # both are known fields
        entry.place.refuse(
            "a signal has either expr or value",
            hint='expr is PromQL; value is such as avg(processing_time_seconds, "5m")',
        )
        return None
    if entry.has("expr"):
        if entry.has("by"):
            entry.at("by").refuse("by belongs to value", hint="write the labels in the expression")
        return entry.text("expr").strip()
    text = entry.text("value")
    try:
        return compile_value(text, names, by)
    except UnsoundNameError:
        return None
    except AggregationError as error:
        underlined(entry.at("value"), error.needle).refuse(error.message, hint=error.hint)
        return None


def _example(fields: Fields | None) -> Example | None:
    if fields is None:
        return None
    example = Example(
        series=tuple((name, value) for name, value, _ in fields.plain("series")),
        at_seconds=fields.duration("at", 600.0),
        value=fields.number("value"),
        labels=fields.text("labels", "{}"),
        place=fields.place,
    )
    fields.done("an example")
    return example


# --- channels.yaml ---


def _read_channels(bundle: Bundle, fields: Fields) -> None:

    for name, entry in fields.entries("channels"):
        faults = len(bundle.problems)
        kind = entry.choice("type", CHANNEL_TYPES)
        if len(bundle.problems) > faults:  # what else may be written depends on the type
            bundle.channels[name] = Channel(
                name=name, type="log", options={}, send_resolved=True, max_per_hour=None, fields=entry
            )
            continue
        limit = entry.mapping("rate_limit")
        max_per_hour = None
        if limit is not None:
            max_per_hour = int(limit.number("max_per_hour"))
            if not 1 <= max_per_hour <= 60:
                limit.at("max_per_hour").refuse("max_per_hour must be between 1 and 60")
            limit.done("a rate limit")
        channel = Channel(
            name=name,
            type=kind,
            options=CHANNEL_TYPES[kind].read(entry),
            send_resolved=entry.flag("send_resolved", True),
            max_per_hour=max_per_hour,
            fields=entry,
        )
        entry.done(f"a channel of type {kind}")
        add(bundle.channels, name, channel, entry.place, "channel", NAME)
    routing = fields.mapping("routing")
    if routing is None:
        fields.place.refuse(
            "field 'routing' is missing", hint="routing: {critical: {...}, warning: {...}, info: {...}}"
        )
    else:
        bundle.everywhere = tuple(routing.texts("everywhere"))
        for name in ("watchdog", "escalation", "critical", "warning", "info"):
            route = routing.mapping(name)
            if route is None:
                routing.place.refuse(f"field {name!r} is missing")
                continue
            bundle.routes[name] = Route(
                channels=tuple(route.texts("channels")),
                group_by=tuple(label for label, _ in route.texts("group_by")) or ("alertname",),
                group_wait_seconds=route.duration("group_wait", 30.0),
                group_interval_seconds=route.duration("group_interval", 300.0),
                repeat_interval_seconds=route.duration("repeat_interval", 4 * 3600.0),
                fields=route,
            )
            route.done("a route")
        routing.done("routing")
    fields.done("channels.yaml")


# --- escalations.yaml ---


def _read_escalations(bundle: Bundle, fields: Fields) -> None:
    for name, entry in fields.entries("escalations"):
        levels = []
        for item in entry.items("levels"):
            levels.append(
                Level(
                    minutes=item.number("minutes"),
                    channels=tuple(item.texts("channels")),
                    escalate_to=item.text("escalate_to"),
                    fields=item,
                )
            )
            item.done("a level")
        escalation = Escalation(name=name, description=entry.text("description"), levels=tuple(levels), fields=entry)
        entry.done("an escalation")
        add(bundle.escalations, name, escalation, entry.place, "escalation", NAME)
    fields.done("escalations.yaml")
