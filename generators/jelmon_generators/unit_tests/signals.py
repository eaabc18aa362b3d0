"""A promtool unit test for every signal that has an example: its recorded value and labels."""

from jelmon.catalogue import BY_SERIES
from jelmon_generators.compile.rules import Group, recording
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.signals import Example, Signal
from jelmon_generators.promql.expressions import duration, number
from jelmon_generators.promql.series_text import parsed
from jelmon_generators.render.prometheus import RULES_FOLDER
from jelmon_generators.text import quoted

TESTS_FOLDER = "rules/tests/signals"
_PRECISION = 0.0001


def render(made: Compilation) -> dict[str, str]:
    """Return one test file for each signal with an example."""
    where = {signal: group for group in made.groups for signal in group.signals}
    return {
        f"{TESTS_FOLDER}/{name}.yml": _file(signal, signal.example, where[name], made)
        for name, signal in made.bundle.signals.items()
        if signal.example is not None
    }


def _file(signal: Signal, example: Example, group: Group, made: Compilation) -> str:
    inputs = [(*_scraped(series), values) for series, values in example.series]
    lines = [
        "# generated from rules/signals.yaml, do not edit",
        "rule_files:",
        f"  - ../../../{RULES_FOLDER}/{group.name}.yml",
        f"evaluation_interval: {duration(group.interval_seconds)}",
        "tests:",
        f"  - name: {quoted(f'{signal.name} has the value and the labels of its example')}",
        "    interval: 15s",
    ]
    if inputs:
        lines.append("    input_series:")
    for name, scraped, values in inputs:
        inner = ",".join(f'{label}="{value}"' for label, value in sorted(scraped.items()))
        lines.append(f"      - series: {quoted(f'{name}{{{inner}}}')}")
        lines.append(f"        values: {quoted(values)}")
    labels = _recorded_labels(signal, inputs[0][1] if inputs else {}, made)
    lines += [
        "    promql_expr_test:",
        # promtool compares floats with a tolerance since 3.5; older versions need round()
        f"      - expr: {quoted(f'round({signal.record}, {number(_PRECISION)})')}",
        f"        eval_time: {duration(example.at_seconds)}",
        f"        exp_samples: [{{labels: {quoted(labels)}, value: {number(example.value)}}}]",
    ]
    return "\n".join(lines) + "\n"


def _scraped(series: str) -> tuple[str, dict[str, str]]:
    """Return name and labels, with the labels of a scrape added where they are missing."""
    name, labels = parsed(series)
    job = BY_SERIES[name].service.job if name in BY_SERIES else "jelmon-exporter" if name == "up" else "a-job"
    return name, {"job": job, "instance": "a", **labels}


def _recorded_labels(signal: Signal, first: dict[str, str], made: Compilation) -> str:
    rule = recording(signal, made.analyses[signal.name])
    inputs = {name: first.get(name, "") for name in made.analyses[signal.name].labels or ()}
    labels = {**inputs, **rule.labels}
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
