"""Truth tables as test cases: every combination of values, and every other threshold."""

from jelmon_generators.model.conditions.base import SignalCondition, Variant
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.model.truth import holds, with_leaf
from jelmon_generators.promql.expressions import number
from jelmon_generators.unit_tests.subject import Declared, Labels, Row, Subject


def truth_table(subject: Subject, name: str) -> list[Case]:
    """Return the rows of an alert: in one case when labels distinguish them, else in a case each."""
    label, shape = subject.row_label, subject.steady_shape
    if label is None:
        return [
            Case(
                f"{name}: {_in_words(row)}",
                subject.series([row], shape),
                [(subject.firing("alertname"), subject.steady, [subject.name_sample] if row.fires else [])],
            )
            for row in subject.rows
        ]
    samples = [f'{{{label}="{row.labels[label]}"}}' for row in subject.rows if row.fires]
    if subject.is_constant:  # its own series exists as well
        samples.append('{instance="all"}')
    return [Case(name, subject.series(subject.rows, shape), [(subject.firing(label), subject.steady, samples)])]


def other_thresholds(subject: Subject) -> list[Case]:
    """Return a case for the thresholds that metrics declare or that some labels override."""
    rows = [row for leaf in subject.alert.leaves for row in _variant_rows(subject, leaf)]
    if not rows:
        return []
    by = sorted({"job", *(name for row in rows for name in row.labels)})
    samples = []
    for row in rows:
        if row.fires:
            labels = subject.labels_of(subject.alert.signals[0], row.labels)
            samples.append(selector("", {name: labels[name] for name in by if name in labels}))
    check = (subject.firing(*by), subject.steady, samples)
    name = "other thresholds, declared or overridden"
    return [Case(name, subject.series(rows, subject.steady_shape), [check])]


def _variant_rows(subject: Subject, leaf: SignalCondition) -> list[Row]:
    rows: list[Row] = []
    overrides = 0
    for variant in leaf.variants():
        labels: list[Labels]
        if variant.metric is not None:
            if subject.row_label is None:
                continue
            labels = [{subject.row_label: f"declared-{place}"} for place in range(1, 4)]
        else:
            overrides += 1
            labels = [{**variant.labels, "job": f"override-{overrides}-{place}"} for place in range(1, 4)]
        rows += _around(subject, leaf, variant, labels)
    return rows


def _around(subject: Subject, leaf: SignalCondition, variant: Variant, labels: list[Labels]) -> list[Row]:
    """Return rows around another threshold of one condition, with the others such that this one decides."""
    alert = with_leaf(subject.alert, leaf, variant.condition)
    declared = Declared(variant.metric, leaf.signal, variant.threshold) if variant.metric is not None else None
    for row in subject.rows:
        around = [{**row.values, leaf.key: value} for value in variant.condition.edges(subject.directions)]
        outcomes = [holds(alert, values, subject.directions) for values in around]
        if len(set(outcomes)) > 1:
            return [
                Row(names, values, fires, declared)
                for names, values, fires in zip(labels, around, outcomes, strict=True)
            ]
    return []


def _in_words(row: Row) -> str:
    parts = [f"{name} {'absent' if value is None else number(value)}" for (_, name), value in row.values.items()]
    return ", ".join(parts)
