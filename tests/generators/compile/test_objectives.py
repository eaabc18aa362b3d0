"""Objectives over signals: minutes are counted, and what is generated for them holds."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle

Tool = Callable[[str], Path]
SLOS = """\
  throughput:
    title: Cards move
    objective: 0.98
    period: 7d
    metric_path: cards_per_hour
    operator: lt
    threshold: 10
    by: [pipeline]
  queues:
    title: Queues are short
    objective: 0.99
    period: 7d
    metric_path: queue_depth
    operator: ge
    threshold: 20
    by: [pipeline, job]
  stages:
    title: No stage has a long queue
    objective: 0.99
    period: 7d
    metric_path: queue_depth
    operator: ge
    threshold: 20
    by: [pipeline, stage]
  any_queue:
    title: No queue is long
    objective: 0.9
    period: 7d
    metric_path: queue_depth
    operator: ge
    threshold: 20
    by: [pipeline]
"""


@pytest.fixture
def rendered(bundle: Path) -> Path:
    """The small bundle with such objectives, rendered."""
    path = bundle / "rules/slos.yaml"
    path.write_text(path.read_text() + SLOS)
    for name in ("Throughput", "Queues", "Stages", "AnyQueue"):
        for how in ("Fast", "Slow"):
            (bundle / f"docs/runbooks/{name}BudgetBurn{how}.md").write_text(f"# {name}\n")
    for name, text in generate(bundle).items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(text)
    return bundle


def passes(promtool: Path, *files: Path) -> None:
    """The tests in these files."""
    done = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_generated_for_them_holds(rendered: Path, tool: Tool) -> None:
    """Every scope of a window, every burn, every window; the documents say what is bad in words."""
    tests = [
        *(rendered / "rules/tests/maintenance").glob("*"),
        *(rendered / "rules/tests/objectives").glob("*"),
        *(rendered / "rules/tests/generated").glob("*budget*"),
    ]

    assert {"slo_throughput.yml", "slo_queues.yml", "maintenance-windows.yml"} <= {path.name for path in tests}
    assert (rendered / "rules/tests/maintenance/slo_queues.yml").read_text().count("  - name:") == 3
    passes(tool("promtool"), *tests)
    assert "| minutes in which `queue_depth` is at or above 20 cards |" in (rendered / "docs/alerts.md").read_text()


def test_a_minute_is_bad_when_one_series_is(rendered: Path, tool: Tool) -> None:
    """Of an hour one queue is long for 6 minutes and another for 6 others; one without a value, or NaN, is none."""
    (rendered / "nan.yml").write_text("""
groups: [{name: nan, interval: 1m, rules: [{record: "jelmore:queue_depth", expr: "zero / zero"}]}]
""")
    (rendered / "tests.yml").write_text("""
rule_files: [nan.yml, deploy/prometheus/rules/slo_any_queue.yml, deploy/prometheus/rules/slo_stages.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: jelmore:queue_depth{job="j", instance="all", pipeline="p", stage="a"}
        values: 1x9 20x5 1x43 stale _x60
      - series: jelmore:queue_depth{job="j", instance="all", pipeline="p", stage="b"}
        values: 1x19 99x5 1x33 stale _x60
      - {series: 'zero{job="j", instance="all", pipeline="idle", stage="a"}', values: 0x120}
    promql_expr_test:
      - expr: count by (pipeline) (jelmore:queue_depth)
        eval_time: 58m
        exp_samples: [{labels: '{pipeline="p"}', value: 2}, {labels: '{pipeline="idle"}', value: 1}]
      - expr: round(jelmore:slo_any_queue_error_ratio_1h, 0.001)
        eval_time: 59m
        exp_samples: [{labels: '{job="j", instance="all", pipeline="p"}', value: 0.2}]
      - expr: round(jelmore:slo_any_queue_events_1h, 5) # windows are closed at the left, or open from Prometheus 3 on
        eval_time: 65m
        exp_samples: [{labels: '{job="j", instance="all", pipeline="p"}', value: 55}]
      - expr: round(jelmore:slo_stages_error_ratio_1h, 0.001)
        eval_time: 59m
        exp_samples:
          - {labels: '{job="j", instance="all", pipeline="p", stage="a"}', value: 0.1}
          - {labels: '{job="j", instance="all", pipeline="p", stage="b"}', value: 0.1}
""")

    passes(tool("promtool"), rendered / "tests.yml")


@pytest.mark.parametrize("period", ["3d", "7d", "14d", "30d", "90d"])
@pytest.mark.parametrize("objective", [0.05, 0.5, 0.9, 0.9999])
def test_what_the_objective_allows_for_good_raises_no_alert(bundle: Path, period: str, objective: float) -> None:
    """In every period, a ratio of bad events that just spends the budget is below every threshold, and 1 above one."""
    settings, slos = bundle / "rules/bundle.yaml", bundle / "rules/slos.yaml"
    settings.write_text(settings.read_text().replace("retention: 10d", "retention: 90d"))
    slos.write_text(slos.read_text().replace("7d", period).replace("0.999", str(objective)))
    days = float(period.removesuffix("d"))
    if max(1, days / 30) * (1 - objective) >= 1:  # what spends 10 % of the budget in three days
        with pytest.raises(DefinitionError, match="even a complete failure would not raise an alert"):
            compile_bundle(bundle)
        return

    made = compile_bundle(bundle)
    burning = [one.expression.text for one in made.compiled if "budget_burn" in one.alert.rule_id]
    thresholds = [float(text) for one in burning for text in re.findall(r"error_ratio_\w+ > ([\d.e-]+)", one)]
    assert thresholds
    assert all(1 - objective <= threshold + 1e-12 and threshold < 1 for threshold in thresholds)


def test_an_objective_of_one_half_compiles(bundle: Path) -> None:
    """Where nothing can page, the slow alert remains and is inhibited by nothing."""
    slos = bundle / "rules/slos.yaml"
    slos.write_text(slos.read_text().replace("0.999", "0.2"))

    alerts = compile_bundle(bundle).bundle.alerts

    assert "deliveries_budget_burn_fast" not in alerts
    assert alerts["deliveries_budget_burn_slow"].inhibited_by == ()


PERCENTILE = """\
  call_time:
    description: How long most calls take.
    unit: seconds
    direction: up
    by: [target]
    value: percentile(call_seconds, 95, "5m")
"""


@pytest.mark.parametrize(
    ("operator", "threshold", "message"),
    [
        ("gt", 29, ""),
        ("ge", 30, ""),
        ("gt", 30, "call_time is never above 30 seconds"),
        ("ge", 31, "threshold 31 is outside the signal's range"),
    ],
)
def test_a_percentile_is_no_longer_than_its_largest_bucket(
    bundle: Path, operator: str, threshold: int, message: str
) -> None:
    """A threshold above it can never be met, in an objective or in an alert."""
    signals = bundle / "rules/signals.yaml"
    signals.write_text(signals.read_text() + PERCENTILE)
    condition = f"metric_path: call_time, operator: {operator}, threshold: {threshold}"
    (bundle / "rules/slos.yaml").write_text(
        f"slos:\n  calls: {{title: Calls are quick, objective: 0.99, period: 7d, {condition}, by: [target]}}\n"
    )
    for how in ("Fast", "Slow"):
        (bundle / f"docs/runbooks/CallsBudgetBurn{how}.md").write_text("# Calls\n")
    if not message:
        assert compile_bundle(bundle).groups
        return

    with pytest.raises(DefinitionError, match=message) as caught:
        compile_bundle(bundle)

    assert {problem.path for problem in caught.value.problems} == {"rules/slos.yaml"}
