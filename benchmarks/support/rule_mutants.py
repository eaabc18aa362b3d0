"""Rendered rules with one change each, as a person could make by mistake: what a test has to notice.

Changed are comparisons, boundaries, factors, windows, labels, set operators, offsets and durations, in alerts and in
recordings alike. Labels and braces are never taken for operators: strings are masked before anything is looked for.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import promql_parser as parser
import yaml

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACES = re.compile(r"\{[^{}]*\}")
_COMPARISON = re.compile(r"(?<=\s)(>=|<=|==|!=|>|<)(?=\s)")
_NUMBER = re.compile(r"(?<![\w.:\[-])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.:\]])")
_WINDOW = re.compile(r"\[(\w+)(?=[:\]])")
_OFFSET = re.compile(r" offset \w+")
_SET_OPERATOR = re.compile(r"(?<![\w:])(and|or|unless)(?![\w:])")
_GROUPING = re.compile(r"(?<![\w:])(?:by|without|on|ignoring) \(([^()]*)\)")
_NAME = re.compile(r"[a-zA-Z_:][\w:]{7,}|\"[^\"]*\"")  # a word that is longer than those of PromQL
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_PART = re.compile(r"(\d+)(ms|[smhdw])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "!=", "!=": "=="}
_MOVED = {">": ">=", "<": "<=", ">=": ">", "<=": "<"}


class Mutant(NamedTuple):
    """A rule with one change; ``change`` says where and what."""

    file: str
    rule: str
    kind: str
    change: str
    group: dict[str, Any]  # unchanged
    place: int  # of the rule in its group
    after: dict[str, Any]  # the rule, changed

    @property
    def before(self) -> dict[str, Any]:
        """The rule as it is."""
        return cast("dict[str, Any]", self.group["rules"][self.place])

    @property
    def shape(self) -> tuple[str, str, str]:
        """What mutants have in common that change the same thing in rules made from the same template."""
        texts = (_NAME.sub("name", text) for text in (self.before["expr"], self.change))
        return (self.kind, *(_DIGITS.sub("0", text) for text in texts))  # type: ignore[return-value]

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {self.kind}: {self.change}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of one rule file."""
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    for group in content["groups"]:
        interval = seconds(group["interval"])
        for place, rule in enumerate(group["rules"]):
            name = rule.get("alert") or rule["record"]
            if level := rule.get("labels", {}).get("escalation_level", ""):
                name += f" level {level}"
            elif rule_id := rule.get("labels", {}).get("rule_id", ""):
                name += f" ({rule_id})" if "record" in rule else ""
            for kind, change, changed in _changes(rule, interval):
                yield Mutant(path.name, name, kind, change, group, place, changed)


def _changes(rule: dict[str, Any], interval: float) -> Iterator[tuple[str, str, dict[str, Any]]]:
    seen = {rule["expr"]}
    for kind, change, expr in _expressions(rule["expr"], "alert" in rule, interval):
        if expr not in seen and _parses(expr):
            seen.add(expr)
            yield kind, change, {**rule, "expr": expr}
    for field in ("for", "keep_firing_for"):
        if field in rule:
            longer = f"{round(seconds(rule[field]) + interval)}s"
            yield "duration", f"{field}: {rule[field]} -> {longer}", {**rule, field: longer}
    for label in rule.get("labels", {}):
        kept = {name: value for name, value in rule["labels"].items() if name != label}
        yield "label of the rule dropped", f"{label}: {rule['labels'][label]}", {**rule, "labels": kept}


def _expressions(expr: str, is_alert: bool, interval: float) -> Iterator[tuple[str, str, str]]:
    no_strings = _STRING.sub(lambda found: "\x00" * len(found.group()), expr)
    masked = _BRACES.sub(lambda found: "\x00" * len(found.group()), no_strings)

    def at(start: int, end: int, new: str) -> tuple[str, str]:
        before = expr[max(0, start - 30) : min(len(expr), end + 30)].replace("\n", " ")
        return f"...{before}... : {expr[start:end]!r} -> {new!r}", expr[:start] + new + expr[end:]

    for found in _COMPARISON.finditer(masked):
        operator = found.group()
        yield ("comparison flipped", *at(*found.span(), _FLIPPED[operator]))
        if operator in _MOVED:
            yield ("boundary moved", *at(*found.span(), _MOVED[operator]))
    for found in _NUMBER.finditer(masked):
        value, compared = float(found.group()), bool(_COMPARISON.search(masked[: found.start()].split("\n")[-1][-4:]))
        if compared:
            step = max(abs(value) * 0.02, 0.01)
            step = max(step, interval) if "firing_since" in expr else step  # due less than an evaluation earlier
            for new in (value + step, value - step):
                yield ("threshold moved", *at(*found.span(), f"{new:.12g}"))
        else:
            yield ("factor", *at(*found.span(), f"{value * 1.1:.12g}" if value else "0.1"))
    if not is_alert:
        yield "factor", "the whole by 1.1", f"({expr}) * 1.1"
    for found in _WINDOW.finditer(masked):
        yield ("window halved", *at(*found.span(1), f"{round(seconds(found.group(1)) * 500)}ms"))
    for found in _OFFSET.finditer(masked):
        yield ("offset removed", *at(*found.span(), ""))
    for found in _SET_OPERATOR.finditer(masked):
        for other in {"and", "or", "unless"} - {found.group()}:
            yield ("set operator", *at(*found.span(), other))
    for found in _GROUPING.finditer(masked):
        labels = found.group(1).split(", ") if found.group(1) else []
        for label in labels:
            rest = ", ".join(name for name in labels if name != label)
            yield ("label dropped", *at(*found.span(1), rest))
    for place, rest in _matchers_dropped(expr, no_strings):
        yield ("matcher dropped", *at(place.start, place.stop, rest))


def _matchers_dropped(expr: str, no_strings: str) -> Iterator[tuple[range, str]]:
    """Yield the matchers of every selector, with what is left of them without one."""
    for found in _BRACES.finditer(no_strings):
        inner = range(found.start() + 1, found.end() - 1)
        matchers = _split(no_strings, inner)
        for dropped in matchers:
            rest = ",".join(expr[one.start : one.stop] for one in matchers if one != dropped)
            yield inner, rest


def _split(text: str, inner: range) -> list[range]:
    places = [inner.start - 1, *(place for place in inner if text[place] == ","), inner.stop]
    return [range(start + 1, end) for start, end in itertools.pairwise(places) if end > start + 1]


def _parses(expr: str) -> bool:
    try:
        parser.parse(expr)
    except ValueError:
        return False
    return True


def seconds(text: str) -> float:
    """Return a duration such as ``1h30m`` in seconds."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
