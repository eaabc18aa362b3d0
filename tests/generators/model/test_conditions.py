"""Kinds of conditions: a new one is a class and a row in the table, and nothing else."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.model.conditions import kinds
from jelmon_generators.model.conditions.base import Directions, SignalCondition, Values, around
from jelmon_generators.model.conditions.comparison import Operator
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.expressions import Expression, number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inside(SignalCondition):
    """The signal is within a range."""

    low: float
    high: float

    @classmethod
    def read(cls, fields: Fields, operator: str) -> Self:
        return cls(
            signal=fields.text("metric_path"), low=fields.number("low"), high=fields.number("high"), fields=fields
        )

    def thresholds(self) -> list[tuple[float, Place]]:
        return [(self.low, self.fields.at("low")), (self.high, self.fields.at("high"))]

    def promql(self, known: Known) -> Expression:
        record = known.records[self.signal]
        text = f"({record} > {number(self.low)} < {number(self.high)})"
        return Expression(text, known.labels[self.signal])

    def is_met(self, values: Values, directions: Directions) -> bool:
        value = values[self.key]
        return value is not None and self.low < value < self.high

    def edges(self, directions: Directions) -> list[float | None]:
        return [*around(self.low), *around(self.high)]

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return f"`{self.signal}` is between {self.low:g} and {self.high:g}"


def test_a_new_kind_is_one_class_and_one_row(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tool: Callable[[str], Path]
) -> None:
    """It is read, checked, compiled, described and tested like the others, alone and as a part."""
    monkeypatch.setattr(kinds, "OPERATORS", {**kinds.OPERATORS, "inside": Inside})
    path = bundle / "rules/alerts/all.yaml"
    path.write_text(
        path.read_text()
        + """
  - rule_id: new_kind
    summary: new
    description: new
    any:
      - {metric_path: queue_depth, operator: inside, low: 3, high: 5}
      - {metric_path: queue_depth, operator: gt, threshold: 90}
    severity: warning
    duration_minutes: 1
"""
    )
    (bundle / "docs/runbooks/NewKind.md").write_text("# NewKind\n")
    files = generate(bundle)
    for name, text in files.items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(text)

    assert "jelmore:queue_depth > 3 < 5" in files["deploy/prometheus/rules/queue_depth.yml"]
    assert "`queue_depth` is between 3 and 5 or `queue_depth` is above 90 cards" in files["docs/alerts.md"]
    test = bundle / "rules/tests/generated/new_kind.yml"
    done = subprocess.run([tool("promtool"), "test", "rules", test], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("operator", Operator)
def test_an_operator_is_one_row(operator: Operator, bundle: Path) -> None:
    """Its PromQL, words and comparison agree on a value below, at and above the threshold."""
    path = bundle / "rules/alerts/all.yaml"
    path.write_text(path.read_text().replace("operator: ge", f"operator: {operator}"))
    made = compile_bundle(bundle)
    leaf = next(leaf for alert in made.bundle.alerts.values() for leaf in alert.leaves if leaf.signal == "queue_depth")
    outcomes = [leaf.holds({leaf.key: value}, {}) for value in leaf.edges({})]
    python = {"==": "==", "!=": "!="}.get(operator.symbol, operator.symbol)

    assert outcomes == [eval(f"{value} {python} {leaf.panel_threshold}") for value in leaf.edges({})]
    assert operator.words in leaf.describe(made.bundle.signals)
    assert f"last_over_time(jelmore:queue_depth[1m40s]) {operator.symbol} " in leaf.promql(made.known).text
