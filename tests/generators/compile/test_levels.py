"""An escalation level says what its alert says: the same texts about the same value and the same labels."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from jelmon_generators.commands.generate import generate
from jelmon_generators.compile.rules import ALERT_VALUE, Alerting, Recording
from jelmon_generators.compiler import compile_bundle

TEXT = (
    '{{ $value | humanizePercentage }}, {{ printf "%.3f" $value }}, {{ humanizeDuration $value }}, {{- $value -}}'
    ", {{ .Value }}, {{ if gt $value 0.5 }}high{{ else }}low{{ end }}, {{ with $value }}{{ humanize . }}{{ end }}"
    " on {{ $labels.pipeline }} ({{ .Labels.job }})"
)
LABELS = {"job": "b", "pipeline": "p", "stage": "tests"}
SERIES = 'jelmore_stage_queue_depth{job="b",pipeline="p",stage="tests",instance="a"}'
SAID = "60%, 0.600, 600ms,0.6, 0.6, high, 600m on p (b)"


def test_every_level_repeats_its_alert(root: Path) -> None:
    """Its value is recorded by the alert's own expression; only what names the level is added."""
    levels = 0
    for one in compile_bundle(root).compiled:
        base, *others = one.rules
        assert isinstance(base, Alerting)
        for rule in others:
            if isinstance(rule, Recording) and rule.record == ALERT_VALUE:
                assert (rule.expr, rule.labels) == (base.expr, base.labels)
            elif isinstance(rule, Alerting):
                levels += 1
                own = {"escalate_to", "escalation_note"}
                assert {name: text for name, text in rule.annotations.items() if name not in own} == {
                    name: text for name, text in base.annotations.items() if name != "auto_actions"
                }
    assert levels > 20


def test_prometheus_expands_the_same_text_for_an_alert_and_its_levels(
    bundle: Path, tool: Callable[[str], Path]
) -> None:
    """However the text is written; also while the alert is kept firing after its condition has ended."""
    alerts = bundle / "rules/alerts/all.yaml"
    alert = {
        "rule_id": "too_slow",
        "summary": "busy",
        "description": TEXT,
        "metric_path": "queue_depth",
        "operator": "gt",
        "threshold": 0.5,
        "duration_minutes": 1,
        "keep_firing_for": "20m",
        "severity": "critical",
        "escalation": "standard",
    }
    alerts.write_text(json.dumps({"alerts": [alert]}))
    for path, text in generate(bundle).items():
        if path.startswith("deploy/prometheus/rules/"):
            (bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (bundle / path).write_text(text)
    rules = yaml.safe_load((bundle / "deploy/prometheus/rules/queue_depth.yml").read_text())["groups"][0]["rules"]
    base, *levels = (rule for rule in rules if "alert" in rule)

    def expected(rule: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        notes = {**rule["annotations"], "description": SAID}
        return {
            "exp_labels": {**base["labels"], **rule["labels"], **LABELS, "instance": "all"},
            "exp_annotations": notes,
        }

    test = {
        "rule_files": ["deploy/prometheus/rules/queue_depth.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": SERIES, "values": "0.6x29 0.1x60"}],
                "alert_rule_test": [
                    {"eval_time": moment, "alertname": "TooSlow", "exp_alerts": [expected(rule) for rule in firing]}
                    for moment, firing in (("2m", [base]), ("20m", [base, levels[0]]), ("45m", [base, *levels]))
                ],
            }
        ],
    }
    file = bundle / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", file], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
