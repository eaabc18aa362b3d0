"""Promtool unit tests for every signal that has an example: its recorded value and labels.

Each example is fed once as it is written, beside series that must make no difference: the same values on a second
replica, and series that no selector matches. It is fed again for another value of each label: the rows keep apart.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from jelmon_generators.compile.rules import Group, recording
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.signals import Example, Signal
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.promql.expressions import number
from jelmon_generators.promql.reading import merges_replicas, selectors
from jelmon_generators.promql.series import Series
from jelmon_generators.promql.series_text import parsed
from jelmon_generators.unit_tests.counters import closed_of, counts_too, not_counted
from jelmon_generators.unit_tests.promtool import file_text

TESTS_FOLDER = "rules/tests/signals"
_PRECISION = 0.0001  # promtool compares floats with a tolerance since 3.5; older versions need round()
_SAMPLES_SECONDS = 15.0
_OTHER = "another"

Input = tuple[str, Mapping[str, str], str]
"""The name of a series, its labels and its values."""


def render(made: Compilation) -> dict[str, str]:
    """Return one test file for each signal with an example."""
    where = {signal: group for group in made.groups for signal in group.signals}
    return {
        f"{TESTS_FOLDER}/{name}.yml": _file(signal, where[name], made)
        for name, signal in made.bundle.signals.items()
        if signal.examples
    }


def _file(signal: Signal, group: Group, made: Compilation) -> str:
    cases = [_case(signal, place, example, made) for place, example in enumerate(signal.examples, 1)]
    rarely = math.gcd(*(round(example.at_seconds) for example in signal.examples))  # nothing reads earlier recordings
    return file_text("rules/signals.yaml", cases, group, evaluation_seconds=rarely)


def _case(signal: Signal, place: int, example: Example, made: Compilation) -> Case:
    which = "its example" if len(signal.examples) == 1 else f"its example {place}"
    case = Case(f"{signal.name} has the value and the labels of {which}", sample_seconds=_SAMPLES_SECONDS)
    inputs = [(*_scraped(series, made.bundle.series), values) for series, values in example.series]
    fed = [*inputs, *_replicas(signal, inputs), *_bystanders(signal, inputs, made.bundle.series)]
    expected = [_recorded_labels(signal, inputs[0][1] if inputs else {}, made)]
    for label in sorted(made.analyses[signal.name].labels or ()):
        row = list(_row(signal, inputs, label))
        if row:
            fed += row
            expected.append({**expected[0], label: _OTHER})
    case.series = list({selector(name, labels): values for name, labels, values in fed}.items())
    samples = [selector("", labels) for labels in expected] if example.value is not None else []
    query = f"round({signal.record}, {number(_PRECISION)})"
    case.checks = [(query, example.at_seconds, samples)]
    case.value = example.value if example.value is not None else 1.0
    return case


def _scraped(series: str, known: Mapping[str, Series]) -> tuple[str, Mapping[str, str]]:
    """Return name and labels, with the labels of a scrape added where they are missing."""
    name, labels = parsed(series)
    default = "jelmon-exporter" if name == "up" else "a-job"
    job = (known[name].job if name in known else None) or default
    return name, {"job": job, "instance": "a", **labels}


def _replicas(signal: Signal, inputs: Iterable[Input]) -> Iterator[Input]:
    """Yield the same series from a second replica, where the signal takes replicas together."""
    if not merges_replicas(signal.expr):
        return
    for name, labels, values in inputs:
        yield name, {**labels, "instance": "a-replica", "pod": "a-pod"}, values


def _row(signal: Signal, inputs: Iterable[Input], label: str) -> Iterator[Input]:
    """Yield the series again with another value of a label; nothing where a selector asks for the present value."""
    found = []
    for name, labels, values in inputs:
        other = {**labels, label: _OTHER} if label in labels else labels
        asked = [text for text in selectors(signal.expr) if counts_too(text, name, labels)]
        if not all(counts_too(text, name, other) for text in asked):
            return
        found.append((name, other, values))
    if any(label in labels for _, labels, _ in found):
        yield from found


def _bystanders(signal: Signal, inputs: Iterable[Input], known: Mapping[str, Series]) -> Iterator[Input]:
    """Yield series that differ from the present ones in one label, so that no selector matches them."""
    texts = selectors(signal.expr)
    for name, labels, values in inputs:
        for text in texts:
            for other in not_counted(text, name, labels, closed_of(text, known)):
                if not any(counts_too(one, name, other) for one in texts):
                    yield name, other, values


def _recorded_labels(signal: Signal, first: Mapping[str, str], made: Compilation) -> Mapping[str, str]:
    rule = recording(signal, made.analyses[signal.name])
    inputs = {name: first.get(name, "") for name in made.analyses[signal.name].labels or ()}
    return {**inputs, **rule.labels}
