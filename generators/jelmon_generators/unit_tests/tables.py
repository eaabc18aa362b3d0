"""Truth tables as test cases: every combination of values, and every other threshold."""

from collections.abc import Mapping

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
                subject.one_row_checks(fires=row.fires),
            )
            for row in subject.rows
        ]
    samples = [f'{{{label}="{row.labels[label]}"}}' for row in subject.rows if row.fires]
    if subject.is_constant:  # its own series exists as well
        samples.append('{instance="all"}')
    return [Case(name, subject.series(subject.rows, shape), subject.checks(label, samples))]


def other_thresholds(subject: Subject) -> list[Case]:
    """Return a case for the thresholds that metrics declare, and one for each row of those that labels override.

    An override names the labels of its series, so none is left to distinguish rows in one case.
    """
    declared: list[Row] = []
    cases = []
    for leaf in subject.alert.leaves:
        for variant in leaf.variants():
            if variant.metric is None:
                cases += [
                    Case(
                        f"another threshold for {_labels_in_words(variant.labels)}: {_in_words(row)}",
                        subject.series([row], subject.steady_shape),
                        subject.one_row_checks(fires=row.fires),
                    )
                    for row in _around(subject, leaf, variant, [dict(variant.labels)] * 3)
                ]
            elif subject.row_label is not None:
                labels = [{subject.row_label: f"declared-{place}"} for place in range(1, 4)]
                declared += _around(subject, leaf, variant, labels)
    return [*_declared(subject, declared), *cases]


def _declared(subject: Subject, rows: list[Row]) -> list[Case]:
    if not rows:
        return []
    label = subject.row_label or "alertname"
    samples = [selector("", {label: row.labels[label]}) for row in rows if row.fires]
    return [
        Case(
            "thresholds that a metric declares",
            subject.series(rows, subject.steady_shape),
            subject.checks(label, samples),
        )
    ]


def _labels_in_words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in labels.items())


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
