"""``rules/signals.yaml`` to definitions."""

import re
from collections.abc import Mapping

import yaml

from jelmon.config.strict_yaml import Fields
from jelmon_generators.checks import SELECTOR, SERIES, VALUE
from jelmon_generators.model.naming import IDENTIFIER, add
from jelmon_generators.model.signals import Direction, Example, Signal
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.aggregations import AggregationError, Name, UnsoundNameError, compile_value, metric_hint
from jelmon_generators.promql.analysis import Fault, Limits, analyse
from jelmon_generators.promql.series import Series

_SELECTOR = re.compile(r"([a-zA-Z_]\w*)(?:\{(.*)\})?")


def read_signals(fields: Fields, series: Mapping[str, Series]) -> dict[str, Signal]:
    """Return every signal of the file."""
    signals: dict[str, Signal] = {}
    names = _names(fields, series)
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
            reads=None if expr else (frozenset(), ()),  # a placeholder is not analysed
            low=low,
            high=high,
            job=entry.text("job", None),
            examples=tuple(map(_example, _examples(entry))),
            fields=entry,
        )
        entry.done("a signal")
        add(signals, name, signal, entry.place, "signal", IDENTIFIER)
    fields.done("signals.yaml")
    return signals


def _names(fields: Fields, series: Mapping[str, Series]) -> dict[str, Name]:
    """Return the short names of metrics for the language of `aggregations`."""
    names = {}
    for name, text, place in fields.plain("names"):
        match = _SELECTOR.fullmatch(text)
        metric = Name(match.group(1), match.group(2) or "") if match else Name("", sound=False)
        if match is None:
            SELECTOR.report(place, f"{text!r} is not a metric with matchers", hint='write name or name{label="value"}')
        elif faults := _faults(metric, series):
            metric = metric._replace(sound=False)
            for fault in faults:
                fault.check.report(underlined(place, fault.needle), fault.message, hint=fault.hint)
        names[name] = metric
    return names


def _faults(name: Name, series: Mapping[str, Series]) -> tuple[Fault, ...]:
    """Return what is wrong with the metric or the matchers of a name."""
    metric = name.family
    if metric is None:
        return (Fault(SERIES, f"unknown metric {name.metric!r}", metric_hint(name.metric), name.metric),)
    return analyse(f"count({metric.series[-1]}{{{name.matchers}}})", series, Limits()).faults


def _signal_expression(entry: Fields, names: dict[str, Name]) -> str | None:
    """Return the PromQL as written, or compiled from ``value``; None after reporting why there is none."""
    by = tuple(label for label, _ in entry.texts("by")) or ("pipeline",)
    if entry.has("expr") == entry.has("value"):
        entry.text("expr", None), entry.text("value", None)  # both are known fields
        VALUE.report(
            entry.place,
            "a signal needs either expr or value",
            hint='expr is PromQL; a value looks like avg(processing_time_seconds, "5m")',
        )
        return None
    if entry.has("expr"):
        if entry.has("by"):
            VALUE.report(entry.at("by"), "by is for value only", hint="write the labels in the expression")
        return entry.text("expr").strip()
    text = entry.text("value")
    try:
        return compile_value(text, names, by)
    except UnsoundNameError:
        return None
    except AggregationError as error:
        VALUE.report(underlined(entry.at("value"), error.needle), error.message, hint=error.hint)
        return None


def _examples(entry: Fields) -> list[Fields]:
    """Return the mappings of ``example`` and of the list ``examples``."""
    one = entry.mapping("example")
    return [*([one] if one is not None else []), *entry.items("examples")]


def _example(fields: Fields) -> Example:
    node = fields.nodes.get("value")
    nothing = isinstance(node, yaml.ScalarNode) and node.value == "none"
    example = Example(
        series=tuple((name, value) for name, value, _ in fields.plain("series")),
        at_seconds=fields.duration("at", 600.0),
        value=None if nothing and fields.text("value") else fields.number("value"),
        place=fields.place,
    )
    fields.done("an example")
    return example
