"""OpenSLO v1 becomes objectives that compile."""

from pathlib import Path

import pytest
import yaml

from jelmon.cli import main
from jelmon_generators.compiler import compile_bundle

TOTAL = "sum by (pipeline) (rate(jelmore_cards_finished_total[{{.window}}]))"
DOCUMENT = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: card-success, displayName: Cards succeed}
spec:
  timeWindow: [{duration: 7d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
  indicatorRef: cards
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: cards}
spec:
  ratioMetric:
    counter: true
    good:
      metricSource:
        type: Prometheus
        spec: {query: 'sum by (pipeline) (rate(jelmore_cards_finished_total{outcome="success"}[{{.window}}]))'}
    total:
      metricSource:
        type: Prometheus
        spec: {query: 'sum by (pipeline) (rate(jelmore_cards_finished_total[{{.window}}]))'}
"""


def test_an_objective_is_imported_and_compiles(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is bad follows from what is good."""
    (tmp_path / "slo.yaml").write_text(DOCUMENT)

    assert main(["rules", "import", str(tmp_path / "slo.yaml")]) == 0

    text = capsys.readouterr().out
    assert yaml.safe_load(text) == {
        "slos": {
            "card_success": {
                "title": "Cards succeed",
                "objective": 0.99,
                "period": "7d",
                "valid": "jelmore_cards_finished_total",
                "bad": 'jelmore_cards_finished_total{outcome!="success"}',
                "by": ["pipeline"],
            }
        }
    }
    (bundle / "rules/slos.yaml").write_text(text)
    for name in ("CardSuccessBudgetBurnFast", "CardSuccessBudgetBurnSlow"):
        (bundle / f"docs/runbooks/{name}.md").write_text(f"# {name}\n")
    assert "card_success_budget_burn_fast" in compile_bundle(bundle).bundle.alerts


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("openslo/v1\nkind: SLO", "openslo/v1alpha\nkind: SLO", "not OpenSLO v1"),
        ("isRolling: true", "isRolling: false", "calendar windows are not supported"),
        ("indicatorRef: cards", "indicatorRef: card", "SLO 'card-success' lacks 'card'"),
        ("target: 0.99", "goal: 0.99", "an objective has neither target nor targetPercent"),
        ('{outcome="success"}', '{outcome="success",pipeline="a"}', "cannot derive the bad events from the good ones"),
        (TOTAL, "up / up", "does not read exactly one metric"),
        (TOTAL, "sum(", "in 'sum('"),
    ],
)
def test_what_cannot_be_said_is_refused(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, no traceback."""
    (tmp_path / "slo.yaml").write_text(DOCUMENT.replace(old, new))

    assert main(["rules", "import", str(tmp_path / "slo.yaml")]) == 2
    assert message in capsys.readouterr().err
