"""OpenSLO v1 becomes objectives that compile, or is refused: nothing changes its meaning on the way."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jelmon.cli import main
from jelmon.errors import ConfigError
from jelmon_generators.check import imported
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.load.openslo import convert
from jelmon_generators.model.definitions import camel_case

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
        (
            "target: 0.99",
            "target: 0.99, targetPercent: 99",
            "an objective has neither target nor targetPercent, or both",
        ),
        ("target: 0.99", "target: 1.0", "target leaves no budget"),
        ("target: 0.99", "targetPercent: lots", "targetPercent is no number"),
        ("target: 0.99", "target: .nan", "target is no number"),
        ("Occurrences", "Timeslices", "budgetingMethod Timeslices is not supported"),
        ("Occurrences", "RatioTimeslices", "budgetingMethod RatioTimeslices is not supported"),
        ("duration: 7d", "duration: 1h", "a period of 1h is too short"),
        ("duration: 7d", "duration: 1M", "expected a duration"),
        ("duration: 7d", "duration: 90d", "the period is longer than the retention"),
        ("name: card-success", "name: card success", "'card success' is not a valid name"),
        ("counter: true", "counter: false", "only counters count events"),
        ("ratioMetric:", "thresholdMetric:", "the indicator has no ratioMetric"),
        ("displayName: Cards succeed", "displayName: '{{ if }}'", "starts a template"),
        (TOTAL, "sum by (card) (rate(jelmore_cards_finished_total[5m]))", "group by different labels"),
        (TOTAL, "sum without (pipeline) (rate(jelmore_cards_finished_total[5m]))", "does more than to count it"),
        (TOTAL, "sum by (pipeline) (rate(jelmore_cards_finished_total[5m])) * 2", "does more than to count it"),
        (TOTAL, "sum by (pipeline) (rate(jelmore_cards_finished_total[5m] offset 1h))", "does more than to count it"),
        (TOTAL, "count by (pipeline) (jelmore_cards_finished_total)", "does more than to count it"),
        (TOTAL, "avg by (pipeline) (rate(jelmore_cards_finished_total[5m]))", "does more than to count it"),
        ("jelmore_cards_finished_total", "http_requests_total", "unknown metric 'http_requests_total'"),
        ("sum by (pipeline)", "sum by (stage)", "label 'stage' in 'by' does not exist"),
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


def test_a_query_without_grouping_is_one_objective_for_each_job(bundle: Path, tmp_path: Path) -> None:
    """The outermost sum decides, even where an inner one groups; the text compiles."""
    document = DOCUMENT.replace("sum by (pipeline) (rate(", "sum(sum by (pipeline) (rate(").replace("]))", "])))")
    (tmp_path / "slo.yaml").write_text(document)

    text = convert([tmp_path / "slo.yaml"])

    assert yaml.safe_load(text)["slos"]["card_success"]["by"] == ["job"]
    assert compiles(text, bundle)


def test_several_files_are_one_text(bundle: Path, tmp_path: Path) -> None:
    """With one head; digits of the target are not rounded away."""
    (tmp_path / "a.yaml").write_text(DOCUMENT.replace("target: 0.99", "targetPercent: 99.99995"))
    (tmp_path / "b.yaml").write_text(DOCUMENT.replace("card-success", "card-success-2"))

    text = convert([tmp_path / "a.yaml", tmp_path / "b.yaml"])

    slos = yaml.safe_load(text)["slos"]
    assert {name: slo["objective"] for name, slo in slos.items()} == {"card_success": 0.9999995, "card_success_2": 0.99}
    assert compiles(text, bundle)


def compiles(text: str, bundle: Path) -> bool:
    """In a bundle with runbooks for its alerts."""
    (bundle / "rules/slos.yaml").write_text(text)
    for name in yaml.safe_load(text)["slos"]:
        for how in ("fast", "slow"):
            (bundle / f"docs/runbooks/{camel_case(f'{name}_budget_burn_{how}')}.md").write_text("# any\n")
    return bool(compile_bundle(bundle).groups)


QUERIES = [
    "sum{by} (rate({metric}{matchers}[{{{{.window}}}}]))",
    "sum{by} (increase({metric}{matchers}[5m]))",
    "(sum{by} (sum by (pipeline, job) (rate({metric}{matchers}[1h]))))",
    "{metric}{matchers}",
    "sum{by} (rate({metric}{matchers}[5m])) > 3",
]
METRICS = ["jelmore_cards_finished_total", "jelmore_calls_finished_total", "jelmore_card_processing_seconds_bucket"]
MATCHERS = [
    "",
    "{}",
    '{outcome="success"}',
    '{outcome!~"success|skipped"}',
    '{le="1.0"}',
    '{outcome="nope"}',
    '{a="\\"}',
]
queries = st.builds(
    lambda form, by, metric, matchers: form.format(by=by, metric=metric, matchers=matchers),
    st.sampled_from(QUERIES),
    st.sampled_from(["", " by (pipeline)", " by (job)", " by (job, target)", " without (instance)"]),
    st.sampled_from(METRICS),
    st.sampled_from(MATCHERS),
)
sources = st.builds(lambda query: {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}, queries)
ratios = st.fixed_dictionaries(
    {"total": sources}, optional={"good": sources, "bad": sources, "counter": st.booleans() | st.none()}
)
names = st.sampled_from(["card-success", "Card.Success", "2xx", "a--b"]) | st.text(max_size=4)
odd = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=1)
documents = st.fixed_dictionaries(
    {
        "apiVersion": st.just("openslo/v1"),
        "kind": st.just("SLO"),
        "metadata": st.fixed_dictionaries({"name": names}, optional={"displayName": names | odd}),
        "spec": st.fixed_dictionaries(
            {
                "timeWindow": st.lists(
                    st.fixed_dictionaries(
                        {
                            "duration": st.sampled_from(["7d", "1w", "3d", "30d", "1M", "2h", 7, None]),
                            "isRolling": st.just(True),
                        }
                    ),
                    max_size=1,
                ),
                "objectives": st.lists(
                    st.fixed_dictionaries({"target": st.floats() | st.sampled_from([0.99, 0.5, 0.99999, "0.9"]) | odd}),
                    max_size=2,
                ),
                "indicator": st.fixed_dictionaries({"spec": st.fixed_dictionaries({"ratioMetric": ratios | odd})}),
            },
            optional={"budgetingMethod": st.sampled_from(["Occurrences", "Timeslices"]) | odd},
        ),
    }
)
PLAIN: dict[str, Any] = next(yaml.safe_load_all(DOCUMENT))
ONE = copy.deepcopy(PLAIN)
ONE["spec"]["indicator"] = {"spec": list(yaml.safe_load_all(DOCUMENT))[1]["spec"]}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents | odd)
@example(document=ONE)
def test_whatever_is_imported_compiles(document: object, bundle: Path, tmp_path: Path) -> None:
    """Any document is refused with a message, or becomes text that compiles in a bundle."""
    path = tmp_path / "slo.yaml"
    path.write_text(yaml.safe_dump(document))
    try:
        text = convert([path])
        imported.check(text, bundle)
    except ConfigError:
        text = ""

    assert text or document != ONE
    assert not text or compiles(text, Path(shutil.copytree(bundle, tmp_path / "copy", dirs_exist_ok=True)))
