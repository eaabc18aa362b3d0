"""What rules read of each other: an alert only what its own group has recorded before it.

Groups are evaluated at offsets of their own, which promtool does not show: it evaluates all of them at one instant.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as parser
import pytest

from jelmon_generators.compile.rules import FIRING_SINCE, Alerting, Group, Recording
from jelmon_generators.compiler import Compilation, compile_bundle
from jelmon_generators.promql.series import MAINTENANCE_ACTIVE

ALERTS = """
  - rule_id: {name}
    summary: composite
    description: composite
    {condition}
    duration_minutes: 1
    severity: warning
"""
IDLE = "{metric_path: cards_per_hour, operator: eq, threshold: 0}"
DEEP = "{metric_path: queue_depth, operator: gt, threshold: 3}"
FAILS = "{metric_path: failure_share, operator: gt, threshold: 0.5}"
SLOWER = "{metric_path: failure_share, operator: regression, threshold: 0.5}"
COMPOSITES = {
    "deep_unless_idle": f"metric_path: queue_depth\n    operator: gt\n    threshold: 3\n    unless: [{IDLE}]",
    "fails_unless_idle": f"metric_path: failure_share\n    operator: gt\n    threshold: 1\n    unless: [{IDLE}]",
    "deep_and_fails": f"all: [{DEEP}, {FAILS}]",
    "slower_or_deep": f"any: [{SLOWER}, {DEEP}]",
    "deep_or_slower": f"any: [{DEEP}, {SLOWER}]",
    "two": f"n_of_m: [{DEEP}, {FAILS}, {IDLE}]\n    n: 2",
    "spends": "all:\n      - {metric_path: queue_depth, operator: gt, threshold: 3}\n"
    "      - {metric_path: slo_deliveries_budget_left_ratio, operator: lt, threshold: 0.5}",
}


def composites(bundle: Path) -> Path:
    """The small bundle with every kind of composite across its groups."""
    path = bundle / "rules/alerts/all.yaml"
    for name, condition in COMPOSITES.items():
        path.write_text(path.read_text() + ALERTS.format(name=name, condition=condition))
        runbook = "".join(part.capitalize() for part in name.split("_"))
        (bundle / f"docs/runbooks/{runbook}.md").write_text("# any\n")
    return bundle


def selectors(node: Any, *, bare: bool = True, negative: bool = False) -> Iterator[tuple[str, bool, bool]]:
    """Every selector: its name, whether it is bare (not over a window), and whether its absence adds results."""
    match node:
        case parser.VectorSelector():
            yield str(node.name), bare, negative
        case parser.MatrixSelector():
            yield str(node.vector_selector.name), False, negative
        case parser.ParenExpr() | parser.UnaryExpr() | parser.AggregateExpr():
            yield from selectors(node.expr, bare=bare, negative=negative)
        case parser.SubqueryExpr():
            yield from selectors(node.expr, bare=False, negative=negative)
        case parser.Call():
            for argument in node.args:
                yield from selectors(argument, bare=bare, negative=negative ^ (node.func.name == "absent"))
        case parser.BinaryExpr():
            # the right side of `or` counts where the left one is missing, that of `unless` where it is there
            yield from selectors(node.lhs, bare=bare, negative=negative or str(node.op) == "or")
            yield from selectors(node.rhs, bare=bare, negative=negative ^ (str(node.op) == "unless"))


def unsound(groups: tuple[Group, ...]) -> Iterator[str]:
    """Every read of another group's recording that a start, a gap or an offset can turn into a false result."""
    recorded = {rule.record for group in groups for rule in group.rules if isinstance(rule, Recording)}
    for group in groups:
        before: set[str] = set()
        mine = {rule.record for rule in group.rules if isinstance(rule, Recording)}
        names = {rule.alert for rule in group.rules if isinstance(rule, Alerting)}
        for rule in group.rules:
            what = rule.record if isinstance(rule, Recording) else rule.alert
            for name, bare, negative in selectors(parser.parse(rule.expr)):
                foreign = name in recorded and name not in (before if isinstance(rule, Alerting) else mine)
                if foreign and (isinstance(rule, Alerting) or (bare and negative)):
                    yield f"{group.name}: {what} reads {name}"
                if name == "ALERTS" and not names:
                    yield f"{group.name}: {what} reads the alerts of another group"
            if isinstance(rule, Recording):
                before.add(rule.record)


def bundles(root: Path, bundle: Path) -> Iterator[Compilation]:
    yield compile_bundle(root)
    yield compile_bundle(bundle)
    yield compile_bundle(composites(bundle))


def test_alerts_read_what_their_own_group_recorded_before(root: Path, bundle: Path) -> None:
    """Over all rules: ours, those of the small bundle, and every kind of composite across its groups."""
    found = list(bundles(root, bundle))

    assert [fault for made in found for fault in unsound(made.groups)] == []
    assert sum(len(group.rules) for made in found for group in made.groups) > 250
    assert FIRING_SINCE in {
        rule.record for group in found[0].groups for rule in group.rules if isinstance(rule, Recording)
    }


@pytest.mark.parametrize(
    ("expr", "seen"),
    [
        ("jelmore:a > 1 unless jelmore:b == 0", {("jelmore:a", True, False), ("jelmore:b", True, True)}),
        ("absent(jelmore:a)", {("jelmore:a", True, True)}),
        ("last_over_time(jelmore:a[1m]) or jelmore:b", {("jelmore:a", False, True), ("jelmore:b", True, False)}),
    ],
)
def test_the_reader_of_the_test_sees_what_is_missed(expr: str, seen: set[tuple[str, bool, bool]]) -> None:
    """The judge itself, on expressions whose faults are known."""
    assert set(selectors(parser.parse(expr))) == seen


def test_a_shared_exception_does_not_chain_groups_together(bundle: Path) -> None:
    """Every group that reads a signal records it: no alert is moved, and the documents name one home."""
    groups = {group.name: group for group in compile_bundle(composites(bundle)).groups}
    records = {
        name: [rule.record for rule in group.rules if isinstance(rule, Recording)] for name, group in groups.items()
    }

    assert records["cards_per_hour"][0] == "jelmore:cards_per_hour"
    assert "jelmore:cards_per_hour:for_queue_depth" in records["queue_depth"]
    assert "jelmore:cards_per_hour:for_failure_share" in records["failure_share"]
    assert "jelmore:failure_share:for_queue_depth:baseline" in records["queue_depth"]
    assert {"jelmore:failure_share", "jelmore:failure_share:baseline"} <= set(records["failure_share"])
    every = [
        record for names in records.values() for record in names if record not in (FIRING_SINCE, MAINTENANCE_ACTIVE)
    ]
    assert len(every) == len(set(every))
