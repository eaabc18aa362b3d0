"""Test cases to the file that promtool reads."""

from jelmon_generators.compile.rules import Group
from jelmon_generators.model.test_case import Case
from jelmon_generators.promql.expressions import duration, number
from jelmon_generators.render.prometheus import RULES_FOLDER
from jelmon_generators.text import quoted


def file_text(source: str, cases: list[Case], group: Group, *, evaluation_seconds: float | None = None) -> str:
    """Return the text of one test file for the rules of one group; evaluated as often as the group, or less often."""
    interval = group.interval_seconds
    lines = [
        f"# generated from {source}, do not edit",
        "rule_files:",
        f"  - ../../../{RULES_FOLDER}/{group.name}.yml",
        f"evaluation_interval: {duration(evaluation_seconds or interval)}",
        "tests:",
    ]
    for case in cases:
        lines.append(f"  - name: {quoted(case.name)}")
        lines.append(f"    interval: {duration(case.sample_seconds or interval)}")
        if case.series:
            lines.append("    input_series:")
        lines += [
            f"      - series: {quoted(series)}\n        values: {quoted(values)}" for series, values in case.series
        ]
        lines.append("    promql_expr_test:")
        for expression, seconds, samples in case.checks:
            lines.append(f"      - expr: {quoted(expression)}")
            lines.append(f"        eval_time: {duration(seconds)}")
            if samples:
                lines.append("        exp_samples:")
                lines.extend(
                    f"          - {{labels: {quoted(sample)}, value: {number(case.value)}}}" for sample in samples
                )
    return "\n".join(lines) + "\n"
