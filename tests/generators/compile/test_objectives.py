"""Objectives over signals: minutes are counted, and what is generated for them holds."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon_generators.commands.generate import generate

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
    tests = [*(rendered / "rules/tests/maintenance").glob("*"), *(rendered / "rules/tests/generated").glob("*budget*")]

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
