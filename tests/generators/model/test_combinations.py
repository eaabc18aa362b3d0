"""What conditions are matched by, on promtool: label sets, jobs, absences, declared thresholds, overrides, baselines.

Every definition is compiled, its generated tests pass, and a few series show what it means.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

import promql_parser as parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon_generators.commands.generate import generate
from jelmon_generators.promql.expressions import labelled, string
from jelmon_generators.promql.persistence import persists

Run = Callable[..., list[str]]
MORE_SIGNALS = """
  severity_score:
    description: Judged by the analyzer.
    unit: score
    direction: up
    expr: max without (instance, pod) (jelmore_bottleneck_severity_score)
  slow_calls:
    description: Signal by target.
    unit: seconds
    direction: up
    by: [target]
    value: percentile(jelmore_call_seconds, 95, "5m")
"""


@pytest.fixture
def firing(bundle: Path, tool: Callable[[str], Path]) -> Run:
    """Compile one alert, run its generated tests, then feed series: the labels of what fires at a moment."""

    def run(condition: Mapping[str, Any], *moments: tuple[Mapping[str, str], str], at: str = "10m") -> list[str]:
        for name in ("slos.yaml", "windows.yaml"):
            (bundle / "rules" / name).unlink(missing_ok=True)
        signals = bundle / "rules/signals.yaml"
        if "severity_score" not in signals.read_text():
            signals.write_text(signals.read_text() + MORE_SIGNALS)
        common = {"severity": "critical", "escalation": "standard", "duration_minutes": 1}
        texts = {"summary": "it", "description": "it"}
        alerts = [{"rule_id": "it", **texts, **common, **condition}, {"rule_id": "other", **texts, **common, **OTHER}]
        (bundle / "rules/alerts/all.yaml").write_text(json.dumps({"alerts": alerts}))
        for name in ("It", "Other"):
            (bundle / f"docs/runbooks/{name}.md").write_text(f"# {name}\n")
        for path, text in generate(bundle).items():
            (bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (bundle / path).write_text(text)
        tests = bundle / "rules/tests/it.yml"
        rules = next(line for line in _lines(bundle / "rules/tests/generated/it.yml") if ".yml" in line)
        cases = [
            {
                "interval": "15s",
                "input_series": [{"series": series, "values": values} for series, values in inputs.items()],
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{rule_id="it",alertstate="firing",escalation_level=""}',
                        "eval_time": at,
                        "exp_samples": [{"labels": sample, "value": 1} for sample in expected.split(" & ") if sample],
                    }
                ],
            }
            for inputs, expected in moments
        ]
        rule_file = "../../" + rules.split("../../../")[1]
        tests.write_text(json.dumps({"rule_files": [rule_file], "evaluation_interval": "15s", "tests": cases}))
        command: list[str | Path] = [tool("promtool"), "test", "rules", bundle / "rules/tests/generated/it.yml", tests]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return _lines(bundle / "deploy/prometheus/rules" / Path(rule_file).name)

    return run


def _lines(path: Path) -> list[str]:
    return path.read_text().split("\n")


def fires(**labels: str) -> str:
    """The alert with these labels."""
    known = {"alertname": "It", "alertstate": "firing", "escalation": "standard", "rule_id": "it"}
    every = {**known, "severity": "critical", "team": "platform", **labels}
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in sorted(every.items())) + "}"


def series(signal: str, job: str = "jelmon-exporter", **labels: str) -> str:
    """A recorded series."""
    every = {"instance": "all", "job": job, **labels}
    return f"jelmore:{signal}" + "{" + ",".join(f'{name}="{value}"' for name, value in sorted(every.items())) + "}"


OTHER = {"metric_path": "cards_per_hour", "operator": "lt", "threshold": 0.5}  # so that routes have their labels
CARDS = {"metric_path": "cards_per_hour", "operator": "gt", "threshold": 10}
DEEP = {"metric_path": "queue_depth", "operator": "gt", "threshold": 3}
FAILS = {"metric_path": "failure_share", "operator": "gt", "threshold": 0.5}
ABSENT = {"metric_path": "cpu_usage_ratio", "operator": "absent"}
COPY = "cards_per_hour:for_queue_depth"


def test_any_has_one_identity(firing: Run) -> None:
    """Whichever arm holds, and when one ends: the labels are those that all have, so the alert does not resolve."""
    stage = series("queue_depth", pipeline="p", stage="s")
    other = series("queue_depth", pipeline="p", stage="t")
    cards = series(COPY, pipeline="p")
    one = fires(job="jelmon-exporter", pipeline="p")
    moments = [
        ({stage: "9x60", cards: "99x60"}, one),
        ({stage: "9x20 0x40", cards: "99x60"}, one),  # the first arm ends
        ({stage: "9x60", other: "9x60", cards: "0x60"}, one),  # two stages are one alert
        ({stage: "0x60", cards: "0x60"}, ""),
    ]

    firing({"any": [DEEP, CARDS]}, *moments)


def test_any_with_equal_labels_keeps_them(firing: Run) -> None:
    """Nothing is lost where nothing has to be."""
    firing(
        {"any": [DEEP, FAILS]},
        (
            {series("queue_depth", pipeline="p", stage="s"): "9x60"},
            fires(instance="all", job="jelmon-exporter", pipeline="p", stage="s"),
        ),
    )


def test_any_shows_the_worst_value(firing: Run) -> None:
    """Several series become one alert: a signal that is worse when low shows its lowest value."""
    slow = {**CARDS, "operator": "lt"}
    rules = firing({"any": [slow, DEEP]})

    assert any("min by (job, pipeline)" in line for line in rules)
    assert any("max by (job, pipeline)" in line for line in rules)


def test_n_of_m_counts_for_each_label_set(firing: Run) -> None:
    """Two conditions of two pipelines, stages or jobs are not two conditions of one."""
    deep, fails = series("queue_depth", pipeline="p", stage="s"), "failure_share"
    one = fires(job="jelmon-exporter", pipeline="p", stage="s")
    moments = [
        ({deep: "9x60", series(fails, pipeline="p", stage="s"): "1x60"}, one),
        ({deep: "9x60", series(fails, pipeline="p", stage="t"): "1x60"}, ""),
        ({deep: "9x60", series(fails, pipeline="q", stage="s"): "1x60"}, ""),
        ({deep: "9x60", series(fails, job="another-site", pipeline="p", stage="s"): "1x60"}, ""),
    ]

    firing({"n_of_m": [DEEP, FAILS], "n": 2}, *moments)


def test_an_absence_counts_for_every_label_set(firing: Run) -> None:
    """It has no labels: together with another condition it is two of three for those labels, not across pipelines."""
    deep = series("queue_depth", pipeline="p", stage="s")
    other = series("failure_share", pipeline="q", stage="s")
    cpu = series("cpu_usage_ratio", host="h")
    moments = [
        ({deep: "9x60", other: "0x60"}, fires(job="jelmon-exporter", pipeline="p", stage="s")),
        ({deep: "9x60", other: "1x60", cpu: "1x60"}, ""),
        ({deep: "0x60", other: "0x60"}, ""),
    ]

    firing({"n_of_m": [DEEP, FAILS, ABSENT], "n": 2, "duration_minutes": 2}, *moments)


def test_all_with_an_absence_matches_the_others(firing: Run) -> None:
    """Sibling: one part without labels must not make the others match across pipelines."""
    deep = series("queue_depth", pipeline="p", stage="s")
    moments = [
        ({deep: "9x60", series("failure_share", pipeline="q", stage="s"): "1x60"}, ""),
        (
            {deep: "9x60", series("failure_share", pipeline="p", stage="s"): "1x60"},
            fires(instance="all", job="jelmon-exporter", pipeline="p", stage="s"),
        ),
    ]

    firing({"all": [DEEP, ABSENT, FAILS], "duration_minutes": 2}, *moments)


def test_all_about_stages_and_their_pipeline(firing: Run) -> None:
    """Sibling: a part about the pipeline must not make parts about two stages match."""
    inputs = {series("cards_per_hour", pipeline="p"): "99x60", series("queue_depth", pipeline="p", stage="s"): "9x60"}
    one = fires(instance="all", job="jelmon-exporter", pipeline="p")
    moments = [
        ({**inputs, series("failure_share", pipeline="p", stage="t"): "1x60"}, ""),
        ({**inputs, series("failure_share", pipeline="p", stage="s"): "1x60"}, one),
    ]

    firing({"all": [CARDS, DEEP, FAILS]}, *moments)


def test_a_declared_threshold_of_another_job(firing: Run) -> None:
    """The analyzer's signal and the exporter's limit have the pipeline and the stage in common, not the job."""
    score = series("severity_score", job="jelmon-analyzer", pipeline="p", stage="s")
    limit = 'jelmore_stage_time_limit_seconds{instance="a",job="jelmon-exporter",pipeline="p",stage="s"}'
    condition = {"metric_path": "severity_score", "operator": "gt", "threshold": 50}
    one = fires(instance="all", job="jelmon-analyzer", pipeline="p", stage="s")
    moments = [
        ({score: "60x60", limit: "80x60"}, ""),
        ({score: "90x60", limit: "80x60"}, one),
        ({score: "60x60"}, one),
        ({score: "60x60", limit: "80x30 stale"}, ""),  # the exporter has not been scraped for two minutes
    ]

    firing({**condition, "threshold_from": "jelmore_stage_time_limit_seconds"}, *moments)


def test_a_declared_threshold_of_the_same_job(firing: Run) -> None:
    """Two installations in one Prometheus have limits of their own."""
    limit = 'jelmore_stage_queue_capacity{{instance="a",job="{}",pipeline="p",stage="s"}}'
    depth = {job: series("queue_depth", job=job, pipeline="p", stage="s") for job in ("jelmon-exporter", "jelmon-two")}
    condition = {**DEEP, "threshold_from": "jelmore_stage_queue_capacity"}
    one = fires(instance="all", job="jelmon-two", pipeline="p", stage="s")
    inputs = {
        depth["jelmon-exporter"]: "9x60",
        limit.format("jelmon-exporter"): "20x60",
        depth["jelmon-two"]: "9x60",
        limit.format("jelmon-two"): "5x60",
    }

    firing(condition, (inputs, one))


NASTY = ['a"b', "back\\slash", "$1", "${name}", "two\nlines", "{{ $value }}", "é", "a,b}", "' or 1"]


@pytest.mark.parametrize("values", [NASTY[:5], NASTY[5:]], ids=["escaped", "odd"])
def test_any_value_can_be_overridden(values: list[str], firing: Run) -> None:
    """Each value as it is written, in the rule and in its generated test."""
    overrides = [{"labels": {"pipeline": value}, "threshold": 20 + n} for n, value in enumerate(values)]

    firing({**DEEP, "overrides": overrides})


def test_overrides_by_job(firing: Run) -> None:
    """A job is a label like any other, and two labels beat one."""
    overrides = [
        {"labels": {"job": "jelmon-two"}, "threshold": 20},
        {"labels": {"pipeline": "p", "job": "jelmon-two"}, "threshold": 6},
    ]
    inputs = {
        series("queue_depth", pipeline="p", stage="s"): "5x60",
        series("queue_depth", job="jelmon-two", pipeline="q", stage="s"): "9x60",
        series("queue_depth", job="jelmon-two", pipeline="p", stage="s"): "7x60",
    }
    expected = [fires(instance="all", job=job, pipeline="p", stage="s") for job in ("jelmon-exporter", "jelmon-two")]

    firing({**DEEP, "overrides": overrides}, (inputs, " & ".join(expected)))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_string_is_what_it_was(text: str) -> None:
    """Whatever text becomes a string in PromQL: it parses to the same text, on one line."""
    tree: Any = parser.parse(labelled("vector(1)", "pipeline", text))

    assert tree.args[2].val.replace("$$", "$") == text
    assert "$" not in tree.args[2].val.replace("$$", "")
    assert string(text).isprintable()


def test_a_regression_by_target_is_about_that_target(firing: Run) -> None:
    """The analyzer cannot tell targets apart: its verdict fires none of them, history judges each by itself."""
    fresh = {'jelmore_analyzer_last_success_timestamp_seconds{analyzer="regression",job="jelmon-analyzer"}': "0+15x300"}
    verdict = 'jelmore_regression_{}{{job="jelmon-analyzer",signal="slow_calls"}}'
    said = (("change_ratio", 9), ("change_lower_ratio", 9), ("q_value", 0), ("baseline_ready", 1))
    judged = {verdict.format(name): f"{value}x300" for name, value in said}

    def history(target: str, median: float) -> dict[str, str]:
        known = (("baseline", 10), ("mad", 0.1), ("median5m", median))
        return {series(f"slow_calls:{name}", target=target): f"{value}x300" for name, value in known}

    same, worse = history("b", 10), history("a", 30)
    levels = {series("slow_calls", target=name): "10x300" for name in ("a", "b")}
    condition = {"metric_path": "slow_calls", "operator": "regression", "threshold": 0.5}
    moments = [
        ({**fresh, **judged, **levels}, ""),
        ({**fresh, **judged, **same, **worse}, fires(instance="all", job="jelmon-exporter", target="a")),
    ]

    firing(condition, *moments, at="30m")


def test_idle_times_do_not_spoil_a_baseline(firing: Run) -> None:
    """A percentile of calls that come half of the time: the incident is noticed, and the baseline is not NaN."""
    bucket = 'jelmore_call_seconds_bucket{{instance="a",job="jelmon-exporter",le="{}",outcome="success",target="t"}}'
    quick = " ".join(f"{n * 80}+4x19 {n * 80 + 80}x40" for n in range(20))  # five busy minutes, ten idle ones
    slow = "1600+4x60"
    inputs = {
        bucket.format("1.0"): f"{quick} 1600x60",
        bucket.format("10.0"): f"{quick} {slow}",
        bucket.format("+Inf"): f"{quick} {slow}",
    }
    condition = {"metric_path": "slow_calls", "operator": "regression", "threshold": 0.5}
    one = fires(instance="all", job="jelmon-exporter", target="t")

    firing(condition, (inputs, one), at="5h11m")


def test_one_failed_scrape_in_five_does_not_restart_the_clock(firing: Run) -> None:
    """A gauge that is too high all the time, as far as anybody knows; a longer gap is not bridged."""
    cpu = 'jelmore_system_cpu_usage_ratio{host="h",instance="a",job="jelmon-exporter"}'
    condition = {"metric_path": "cpu_usage_ratio", "operator": "gt", "threshold": 0.9, "duration_minutes": 3}
    one = fires(host="h", instance="all", job="jelmon-exporter")
    moments = [
        ({cpu: " ".join(["0.99x3 stale"] * 12)}, one),
        ({cpu: " ".join(["0.99x4 stale _x8"] * 4)}, ""),
        ({cpu: " ".join(["0.99x3 stale 0.5"] * 10)}, ""),
    ]

    firing(condition, *moments)


def test_a_condition_does_not_outlive_its_exception(firing: Run) -> None:
    """Without scrapes a rate has a value for minutes and a gauge has none: what was idle is still idle."""
    idle = {"metric_path": "queue_depth", "operator": "eq", "threshold": 0}
    cards = 'jelmore_cards_finished_total{instance="a",job="jelmon-exporter",outcome="success",pipeline="p"}'
    depth = 'jelmore_stage_queue_depth{{instance="a",job="jelmon-exporter",pipeline="p",stage="{}"}}'
    condition = {"metric_path": "cards_per_hour", "operator": "lt", "threshold": 10, "unless": [idle]}
    one = fires(instance="all", job="jelmon-exporter", pipeline="p")
    moments = [
        ({cards: "5x32 stale", depth.format("s"): "0x32 stale"}, ""),
        ({cards: "5x32 stale", depth.format("s"): "3x32 stale"}, one),
    ]

    firing(condition, *moments, at="11m30s")


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [
        ("jelmore_a", 0.0),
        ("time() - max without (instance) (jelmore_a)", 0.0),
        ("rate(jelmore_a[15m]) / (rate(jelmore_a[6h]) > 0)", 900.0),
        ("histogram_quantile(0.9, sum by (le) (rate(jelmore_a[5m])))", 300.0),
        ("jelmore_a or rate(jelmore_a[5m])", 300.0),
        ("rate(jelmore_a[5m]) unless jelmore_a", 300.0),
        ("max_over_time(rate(jelmore_a[5m])[1h:1m])", 3900.0),
        ("vector(1)", inf),
        ("absent(jelmore_a)", inf),
    ],
)
def test_how_long_a_signal_outlives_the_scrapes(expr: str, seconds: float) -> None:
    """What is 0 is a gauge, whose gaps conditions bridge."""
    assert persists(expr) == seconds
