"""Compare compiled rules and routes with the running ones, by meaning."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import promql_parser

from jelmon_generators.compile.rules import Alerting, Recording
from jelmon_generators.compiler import Compilation
from jelmon_generators.promql.expressions import duration

_NUMBER = re.compile(r"(?<![\w:.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w:])")
Key = tuple[str, str, str]
"""Kind, name, and what distinguishes rules of the same name: ``rule_id`` and level, or ``rule_id`` or window."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule says."""

    expression: str
    for_seconds: float = 0.0
    keep_firing_seconds: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule that is added, removed or changed."""

    key: Key
    sign: str  # + - ~
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind, name, more = self.key
        title = f"{self.sign} {kind} {name}" + (f" ({more})" if more else "")
        return "\n".join([title, *(f"    {detail}" for detail in self.details)])


def compiled_facts(made: Compilation) -> dict[Key, Facts]:
    """Return the compiled rules."""
    facts: dict[Key, Facts] = {}
    for group in made.groups:
        base = ""
        for rule in group.rules:
            if isinstance(rule, Recording):
                facts[_recording_key(rule.record, rule.labels)] = Facts(rule.expr, labels=rule.labels)
            else:
                base = rule.labels.get("rule_id", base)
                facts[_alert_key(rule.alert, base, rule.labels)] = _alert_facts(rule)
    return facts


def _recording_key(name: str, labels: Mapping[str, str]) -> Key:
    return ("recording", name, labels.get("rule_id") or labels.get("window", ""))


def _alert_key(name: str, rule_id: str, labels: Mapping[str, str]) -> Key:
    level = labels.get("escalation_level", "")
    return ("alert", name, f"{rule_id}, level {level}" if level else rule_id)


def _alert_facts(rule: Alerting) -> Facts:
    return Facts(rule.expr, rule.for_seconds, rule.keep_firing_seconds, rule.labels, rule.annotations)


def loaded_facts(answer: Mapping[str, Any]) -> dict[Key, Facts]:
    """Return our rules as loaded, from the response of ``/api/v1/rules``."""
    facts: dict[Key, Facts] = {}
    for group in answer["groups"]:
        if not group["name"].startswith("jelmore-"):
            continue
        base = ""
        for rule in group["rules"]:
            labels = rule.get("labels") or {}
            if rule["type"] == "recording":
                facts[_recording_key(rule["name"], labels)] = Facts(rule["query"], labels=labels)
            else:
                base = labels.get("rule_id", base)
                facts[_alert_key(rule["name"], base, labels)] = Facts(
                    rule["query"],
                    rule.get("duration", 0.0),
                    rule.get("keepFiringFor", 0.0),
                    labels,
                    rule.get("annotations") or {},
                )
    return facts


def differences(old: Mapping[Key, Facts], new: Mapping[Key, Facts]) -> list[Difference]:
    """Return what loading the new rules would change, sorted by name."""
    changes = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            changes.append(Difference(key, "+"))
        elif key not in new:
            changes.append(Difference(key, "-"))
        elif details := tuple(_details(old[key], new[key])):
            changes.append(Difference(key, "~", details))
    return changes


def _details(old: Facts, new: Facts) -> Iterator[str]:
    before, after = _normal(old.expression), _normal(new.expression)
    if before != after:
        if _NUMBER.sub("#", before) == _NUMBER.sub("#", after):
            numbers = zip(_NUMBER.findall(before), _NUMBER.findall(after), strict=True)
            yield "condition: " + ", ".join(f"{was} -> {now}" for was, now in numbers if was != now)
        else:
            yield f"condition: {before}"
            yield f"        -> {after}"
    for name, was, now in (
        ("for", old.for_seconds, new.for_seconds),
        ("keep_firing_for", old.keep_firing_seconds, new.keep_firing_seconds),
    ):
        if was != now:
            yield f"{name}: {duration(was)} -> {duration(now)}"
    for what, olds, news in (("label", old.labels, new.labels), ("annotation", old.annotations, new.annotations)):
        for name in sorted(olds.keys() | news.keys()):
            if olds.get(name) != news.get(name):
                yield f"{what} {name}: {olds.get(name, 'none')} -> {news.get(name, 'none')}"


def _normal(expression: str) -> str:
    """Normalize an expression, so that white space and redundant parentheses do not count."""
    try:
        return " ".join(promql_parser.parse(expression).prettify().split())
    except ValueError:  # syntax of a newer Prometheus
        return " ".join(expression.split())


def routing_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the receivers, routes and inhibitions that two Alertmanager configurations do not share."""
    changes = list(_compared("receiver", _receivers(old), _receivers(new)))
    changes += _compared("route", dict(_routes(old.get("route") or {})), dict(_routes(new.get("route") or {})))
    rules = [_named_inhibitions(config.get("inhibit_rules") or ()) for config in (old, new)]
    return changes + list(_compared("inhibition", *rules))


def _compared(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"+ {what} {name}"
        elif name not in new:
            yield f"- {what} {name}"
        elif old[name] != new[name]:
            yield f"~ {what} {name}: {_short(old[name], new[name])}"


def _short(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {old.get(key, 'none')} -> {new.get(key, 'none')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def _receivers(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the number of integrations by receiver and type: Alertmanager hides secrets and adds defaults."""
    return {
        receiver["name"]: {key: len(value) for key, value in receiver.items() if isinstance(value, list)}
        for receiver in config.get("receivers") or ()
    }


def _routes(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    matchers = " ".join(sorted(node.get("matchers") or ()))
    here = f"{path} > {matchers}" if path and matchers else matchers or path or "root"
    # ignore defaults that Alertmanager adds
    yield here, {key: value for key, value in node.items() if key not in ("routes", "matchers") and value is not False}
    for child in node.get("routes") or ():
        yield from _routes(child, "" if here == "root" else here)


def _named_inhibitions(rules: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        f"of {' '.join(sorted(rule['target_matchers']))} by {' '.join(sorted(rule['source_matchers']))}": {
            "equal": rule.get("equal") or []
        }
        for rule in rules
    }
