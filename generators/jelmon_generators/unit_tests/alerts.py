"""A promtool unit test for every alert, made from its definition.

Each test loads only the rule file of the alert's signal, so that the cost of all tests grows linearly with their
number. Signals are fed by their recorded names; the examples of signals test whether a recording is right.
"""

from jelmon_generators.compiler import Compilation
from jelmon_generators.model.test_case import Case
from jelmon_generators.unit_tests.promtool import file_text
from jelmon_generators.unit_tests.subject import Subject
from jelmon_generators.unit_tests.tables import other_thresholds, truth_table
from jelmon_generators.unit_tests.timelines import disappearance, firing_row, flap, remembered, timeline

TESTS_FOLDER = "rules/tests/generated"


def render(made: Compilation) -> dict[str, str]:
    """Return one test file for each alert, by path."""
    groups = {signal: group for group in made.groups for signal in group.signals}
    files = {}
    for compiled in made.compiled:
        group = groups[compiled.alert.signals[0]]
        cases = _cases(Subject(compiled, made, group.interval_seconds))
        files[f"{TESTS_FOLDER}/{compiled.alert.rule_id}.yml"] = file_text(compiled.alert.source, cases, group)
    return files


def _cases(subject: Subject) -> list[Case]:
    cases = truth_table(subject, "at the edge and on both sides of it")
    cases += other_thresholds(subject)
    for label in subject.other_row_labels:
        by_label = Subject(subject.compiled, subject.made, subject.interval, row_label=label)
        cases += truth_table(by_label, f"series that differ in their {label} are not taken for each other")
        cases += [case for case in other_thresholds(by_label) if case.name not in {one.name for one in cases}]
    firing = firing_row(subject)
    if firing is not None:
        cases.append(timeline(subject, firing))
        cases += disappearance(subject, firing)
        cases += remembered(subject, firing)
        if subject.levels:
            cases.append(flap(subject, firing))
    if subject.is_constant:
        return cases
    if not subject.fires_without_input:
        cases.append(
            Case("without any input nothing fires", checks=[(subject.firing("alertname"), subject.steady, [])])
        )
    alert = subject.alert
    if not alert.unless and alert.condition.leaves == (alert.condition,):
        cases += map(subject.with_values, alert.condition.leaves[0].test_cases(subject.timing, subject.known))
    keys = {leaf.key for leaf in alert.leaves}
    fallbacks = [leaf.fallback for leaf in alert.leaves if leaf.fallback and ("signal", leaf.signal) not in keys]
    if fallbacks:
        by_fallback = Subject(subject.compiled, subject.made, subject.interval, by_fallback=True)
        cases += truth_table(by_fallback, fallbacks[0])
    return cases
