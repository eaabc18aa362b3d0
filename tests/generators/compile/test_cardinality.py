"""Limits of rule groups: from the values that labels can have, and that Prometheus keeps to them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle

RULES = "deploy/prometheus/rules/cards_per_hour.yml"


def limits(bundle: Path) -> dict[str, int | None]:
    """Group -> limit."""
    return {group.name: group.limit for group in compile_bundle(bundle).groups}


def at_most(bundle: Path, text: str) -> None:
    """Add the setting."""
    path = bundle / "rules/bundle.yaml"
    path.write_text(f"{path.read_text()}at_most: {text}\n")


def test_a_limit_is_the_product_of_what_labels_can_have(bundle: Path) -> None:
    """Ten jobs and 201 pipelines unless said otherwise; a limit that is written stands."""
    found = limits(bundle)
    assert (found["cards_per_hour"], found["slo_deliveries"]) == (2010, 2010)
    assert found["queue_depth"] == 50, "written in the alert"
    assert found["rules-fingerprint"] is None

    at_most(bundle, "{job: 2, pipeline: 70, stage: 3}")
    found = limits(bundle)
    assert (found["cards_per_hour"], found["slo_deliveries"], found["queue_depth"]) == (140, 140, 50)


def test_closed_labels_need_no_number(root: Path) -> None:
    """The catalogue knows why events are parked; nobody knows how many groups of rules there are."""
    found = limits(root)

    assert found["gate_failure_ratio"] == 10 * 201 * 201
    assert found["stream_changes"] == 100, "three reasons and ten jobs are fewer than harm"
    assert found["rule_failures"] is None
    assert found["resource_contention_ratio"] is None, "that many series say nothing"


@pytest.mark.parametrize("label", ["pipeline", "stage"])
def test_two_signals_of_one_alert_share_what_bounds_them(label: str, bundle: Path) -> None:
    """Whatever is declared, the limit is no less than what the recording beside the alert can yield."""
    at_most(bundle, f"{{{label}: 120, job: 1}}")
    path = bundle / "rules/alerts/all.yaml"
    path.write_text(path.read_text().replace("    limit: 50\n", ""))

    other = 120 if label == "pipeline" else 201
    assert limits(bundle)["cards_per_hour"] == other
    assert limits(bundle)["queue_depth"] == 120 * 201


def test_prometheus_fails_the_rule_beyond_the_limit(bundle: Path, tool: Callable[[str], Path]) -> None:
    """As many pipelines as there can be are recorded; with one more the rule fails, and yields nothing."""
    at_most(bundle, "{job: 1, pipeline: 101}")
    (bundle / "rules.yml").write_text(generate(bundle)[RULES])

    def outcome(pipelines: int) -> subprocess.CompletedProcess[str]:
        series = "".join(
            f"""
      - series: 'jelmore_cards_finished_total{{job="j", instance="i", pipeline="{number}", outcome="success"}}'
        values: 0+1x60"""
            for number in range(pipelines)
        )
        (bundle / "tests.yml").write_text(f"""
rule_files: [rules.yml]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:{series}
    promql_expr_test:
      - {{expr: count(jelmore:cards_per_hour), eval_time: 10m, exp_samples: [{{value: {pipelines}}}]}}
""")
        return subprocess.run(
            [tool("promtool"), "test", "rules", bundle / "tests.yml"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (within := outcome(101)).returncode == 0, within.stdout + within.stderr
    assert "exceeded limit of 101 with 102 series" in (beyond := outcome(102)).stdout + beyond.stderr
