"""Queries ask only for what the catalogue has, and add replicas up only once."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import promql_parser as parser
import pytest

from jelmon.catalogue import (
    BY_SERIES,
    CARD_PROCESSING,
    CARDS_FINISHED,
    CARDS_IN_PROGRESS,
    LAST_ACTIVITY,
    STAGE_QUEUE_DEPTH,
    Counter,
    Histogram,
)
from jelmon_generators.dashboards import queries

Json = dict[str, Any]
_FOREIGN_LABELS = frozenset({"alertname", "alertstate", "severity", "rule_id", "escalation_level", "pipeline", "stage"})


def _walk(node: Any, parents: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    yield node, parents
    inner = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")]
    for child in (*inner, *(getattr(node, "args", None) or ())):
        if child is not None:
            yield from _walk(child, (*parents, node))


def _expressions(boards: dict[str, Json]) -> Iterator[tuple[str, str]]:
    for name, board in boards.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if "expr" in target:
                    yield f"{name}: {panel['title']} {target['refId']}", target["expr"]
        for annotation in board["annotations"]["list"]:
            if "expr" in annotation:
                yield f"{name}: {annotation['name']}", annotation["expr"]


def _labels_of(name: str, recordings: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Labels of a series; of a recording those that are known, and what the dashboards select by."""
    if name in queries.PROMETHEUS_SERIES:
        return _FOREIGN_LABELS
    if name in recordings:
        return recordings[name] | {"pipeline", "instance"}
    return frozenset(BY_SERIES[name].series_labels)


def _added(expression: str) -> set[str]:
    """Labels that an expression adds itself."""
    return set(re.findall(r'label_(?:replace|join)\(.*?, "(\w+)", "', expression)) | set(
        re.findall(r', "(\w+)", "(?:[^"]*)", "\w*", "[^"]*"\)', expression)
    )


def test_every_query_parses_with_one_and_with_several_choices(
    boards: dict[str, Json], expand: Callable[..., str]
) -> None:
    """Whatever is chosen in the variables, PromQL comes out."""
    several = {"job": "(a|b)", "instance": "(c:1|d:1)", "pipeline": "(e|f)", "stage": "(g|h)"}
    durations = {"__rate_interval": "1m", "__interval": "30s", "__range": "3h"}
    for _, expression in _expressions(boards):
        parser.parse(expand(expression))
        parser.parse(expand(expression, several | durations))


def test_every_series_and_label_is_of_the_catalogue(
    boards: dict[str, Json], recordings: dict[str, frozenset[str]], expand: Callable[..., str]
) -> None:
    """A renamed metric or label fails here, not in front of an empty panel."""
    faults = []
    for where, expression in _expressions(boards):
        for node, _ in _walk(parser.parse(expand(expression))):
            if not isinstance(node, parser.VectorSelector):
                continue
            if node.name not in BY_SERIES and node.name not in (*queries.PROMETHEUS_SERIES, *recordings):
                faults.append(f"{where}: unknown series {node.name}")
                continue
            known = _labels_of(node.name, recordings) | {"job", "instance"}
            faults += [
                f"{where}: {node.name} has no label {matcher.name}"
                for matcher in node.matchers.matchers
                if matcher.name not in known
            ]

    assert faults == []


def test_grouping_labels_survive_up_to_where_they_are_used(
    boards: dict[str, Json], recordings: dict[str, frozenset[str]], expand: Callable[..., str]
) -> None:
    """``sum by (x)`` asks for a label that the series below has."""
    faults = []
    for where, expression in _expressions(boards):
        for node, _ in _walk(parser.parse(expand(expression))):
            if not isinstance(node, parser.AggregateExpr) or node.modifier is None:
                continue
            if node.modifier.type != parser.AggModifierType.By:
                continue
            below = [inner.name for inner, _ in _walk(node.expr) if isinstance(inner, parser.VectorSelector)]
            faults += [
                f"{where}: {label} is not a label of {name}"
                for name in filter(None, below)
                for label in node.modifier.labels
                if label not in _labels_of(name, recordings) | _added(expression)
            ]

    assert faults == []


def test_legends_name_only_labels_that_the_result_has(boards: dict[str, Json]) -> None:
    """A legend with an unknown label would show as an empty word."""
    faults = []
    for name, board in boards.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if "expr" not in target:
                    continue
                grouped = set(re.findall(r"\w+", " ".join(re.findall(r" by \(([^)]*)\)", target["expr"]))))
                missing = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))) - grouped
                missing -= _added(target["expr"])
                faults += [f"{name}: {panel['title']}: {label}" for label in sorted(missing)]

    assert faults == []


def test_replicas_are_reduced_to_one_before_anything_is_added_up(
    boards: dict[str, Json], expand: Callable[..., str]
) -> None:
    """All replicas show the same view: a sum over instances would double every figure.

    Rate first, then ``max without (instance, pod)``, then the rest. Only a maximum may do without.
    """
    faults = []
    for where, expression in _expressions(boards):
        for node, parents in _walk(parser.parse(expand(expression))):
            if not isinstance(node, parser.VectorSelector) or node.name in queries.PROMETHEUS_SERIES:
                continue
            if (node.name or "").startswith(queries.RECORDED):
                continue  # merged when it was recorded
            aggregates = [parent for parent in reversed(parents) if isinstance(parent, parser.AggregateExpr)]
            first = aggregates[0] if aggregates else None
            if first is None or str(first.op) != "max":
                faults.append(f"{where}: {node.name} is not reduced to one replica")

    assert faults == []


def test_counters_are_drawn_as_rates_and_rates_are_taken_of_counters(
    boards: dict[str, Json], expand: Callable[..., str]
) -> None:
    """By the catalogue, not by the ending of the name."""
    faults = []
    for where, expression in _expressions(boards):
        for node, parents in _walk(parser.parse(expand(expression))):
            if not isinstance(node, parser.VectorSelector) or node.name not in BY_SERIES:
                continue
            function = next((parent.func.name for parent in reversed(parents) if hasattr(parent, "func")), "")
            grows = isinstance(BY_SERIES[node.name], Counter | Histogram)
            if grows != (function in ("rate", "increase")):
                faults.append(f"{where}: {function or 'nothing'} of {node.name}")

    assert faults == []


def test_a_selector_carries_job_instance_and_the_chosen_pipeline_and_stage() -> None:
    """What is chosen above the panels holds for every panel."""
    assert (
        queries.select(STAGE_QUEUE_DEPTH)
        == 'jelmore_stage_queue_depth{pipeline=~"$pipeline", stage=~"$stage", job=~"$job", instance=~"$instance"}'
    )


def test_a_rate_is_taken_first_then_one_replica_then_the_sum() -> None:
    """The order in which a restart and a second replica do no harm."""
    assert (
        queries.rate(CARDS_FINISHED, by=("outcome",), outcome="success")
        == "sum by (outcome) (max without (instance, pod) (rate(jelmore_cards_finished_total"
        '{outcome="success", pipeline=~"$pipeline", job=~"$job", instance=~"$instance"}[$__rate_interval])))'
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(lambda: queries.gauge(CARDS_IN_PROGRESS, by=("stage",)), "no label 'stage'", id="grouping"),
        pytest.param(lambda: queries.rate(CARDS_FINISHED, gate="lint"), "no label 'gate'", id="matcher"),
        pytest.param(lambda: queries.rate(CARDS_FINISHED, outcome="won"), "never 'won'", id="value of a closed set"),
        pytest.param(
            lambda: queries.rate(CARDS_FINISHED, outcome="=~failure|lost"), "never 'lost'", id="one of several values"
        ),
        pytest.param(lambda: queries.select(CARD_PROCESSING), "no series", id="histogram without its suffix"),
        pytest.param(lambda: queries.select(LAST_ACTIVITY, suffix="_sum"), "no series", id="suffix of a gauge"),
    ],
)
def test_a_query_for_what_nobody_exposes_cannot_be_built(build: Callable[[], str], message: str) -> None:
    """The mistake fails where it is made."""
    with pytest.raises(ValueError, match=message):
        build()
