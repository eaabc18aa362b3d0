"""Render rule groups as Prometheus rule files, deterministically."""

from collections.abc import Iterable

from jelmon_generators.compile.rules import Group, Recording
from jelmon_generators.promql.expressions import duration
from jelmon_generators.text import quoted

RULES_FOLDER = "deploy/prometheus/rules"


def render(groups: Iterable[Group]) -> dict[str, str]:
    """Return one file per group, named after it."""
    return {f"{RULES_FOLDER}/{group.name}.yml": rule_file(group) for group in groups}


def rule_file(group: Group) -> str:
    """Return the text of one file."""
    lines = [
        f"# generated from {', '.join(group.sources)}, do not edit",
        "groups:",
        f"  - name: {quoted(f'jelmore-{group.name}')}",
        f"    interval: {duration(group.interval_seconds)}",
    ]
    if group.limit is not None:  # exceeding it fails the evaluation; RuleEvaluationFailing fires
        lines.append(f"    limit: {group.limit}")
    lines.append("    rules:")
    for rule in group.rules:
        if isinstance(rule, Recording):
            lines.append(f"      - record: {quoted(rule.record)}")
            lines.extend(expression(rule.expr, 8))
            notes: dict[str, str] = {}
        else:
            lines.append(f"      - alert: {quoted(rule.alert)}")
            lines.extend(expression(rule.expr, 8))
            if rule.for_seconds:
                lines.append(f"        for: {duration(rule.for_seconds)}")
            if rule.keep_firing_seconds:
                lines.append(f"        keep_firing_for: {duration(rule.keep_firing_seconds)}")
            notes = rule.annotations
        for title, table in (("labels", rule.labels), ("annotations", notes)):
            if table:
                lines.append(f"        {title}:")
                lines.extend(f"          {name}: {quoted(value)}" for name, value in sorted(table.items()))
    return "\n".join(lines) + "\n"


def expression(text: str, indent: int) -> list[str]:
    """Return ``expr:``, on one line if possible, otherwise as a block."""
    space = " " * indent
    if "\n" not in text:
        return [f"{space}expr: {quoted(text)}"]
    return [f"{space}expr: |-", *(f"{space}  {line}" if line else "" for line in text.split("\n"))]
