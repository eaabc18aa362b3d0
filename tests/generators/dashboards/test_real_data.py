"""Every query, asked of a real Prometheus that holds samples of every metric: an answer, not empty, and the right one.

The samples are written for two replicas of the exporter with the same view, every two minutes for 150 minutes. Then
everything stops but the bottleneck analyzer's sign of life. What the dashboards show is asked at three moments: with
data, a quarter of an hour after the data stopped, and long before it began.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import requests

from jelmon.catalogue import (
    ANALYZER_SUCCESS,
    CATALOGUE,
    STAGE_POSITION,
    STAGE_WORKERS,
    Counter,
    Histogram,
    Metric,
    Service,
)
from jelmon.demo import launch
from jelmon.demo.processes import Processes

Json = dict[str, Any]
Ask = Callable[..., list[Json]]

STEP = 120
START = 1_750_000_800
END = START + 75 * STEP
STOPPED = END + 900
BEFORE = START - 86_400

_VALUES = {
    "pipeline": ("loan",),
    "stage": ("approve", "check"),
    "analyzer": ("bottleneck", "health"),
    "host": ("alpha",),
    "reason": ("timeout", "flaky"),
    "signal": ("avg_processing_time_seconds", "cards_per_hour", "card_failure_ratio"),
    "period": ("1m", "5m"),
}
_ALERTS = (
    {"alertname": "Watchdog", "severity": "none", "rule_id": "watchdog", "alertstate": "firing"},
    {"alertname": "ExporterDown", "severity": "critical", "rule_id": "exporter_down", "alertstate": "firing"},
    # the first escalation level of the same alert: not another alert
    {
        "alertname": "ExporterDown",
        "severity": "critical",
        "rule_id": "exporter_down",
        "alertstate": "firing",
        "escalation_level": "1",
    },
    {
        "alertname": "GateFailureRateHigh",
        "severity": "warning",
        "rule_id": "gate_failure_rate_high",
        "alertstate": "pending",
        "pipeline": "loan",
    },
    {
        "alertname": "BottleneckForming",
        "severity": "info",
        "rule_id": "bottleneck_forming",
        "alertstate": "firing",
        "pipeline": "loan",
        "stage": "approve",
    },
    # somebody else's alert in the same Prometheus
    {"alertname": "DiskFull", "severity": "critical", "alertstate": "firing"},
)


def _label_sets(metric: Metric) -> Iterator[dict[str, str]]:
    choices = [metric.closed.get(label) or _VALUES.get(label, (f"{label}-a",)) for label in metric.labels]
    for combination in product(*choices):
        yield dict(zip(metric.labels, map(str, combination), strict=True))


def _growth(labels: dict[str, str]) -> int:
    """How much a counter grows in a step: eight successes for one of each other ending."""
    return 8 if "success" in labels.values() or "passed" in labels.values() else 1


def _gauge(metric: Metric, labels: dict[str, str], moment: int) -> float:
    if "timestamp" in metric.name:
        return moment - 60.0
    if metric is STAGE_WORKERS:
        return 4.0
    if metric is STAGE_POSITION:
        return 1.0 + _VALUES["stage"].index(labels["stage"])
    return {"ratio": 0.25}.get(metric.unit, 1.0 if metric.name.endswith(("_info", "_up")) else 3.0)


def _series(metric: Metric) -> Iterator[tuple[str, dict[str, str], Callable[[int], float]]]:
    """Name, labels and value at a moment of each series of a metric."""
    for labels in _label_sets(metric):
        count = partial(_count, _growth(labels))
        if isinstance(metric, Counter):
            yield metric.name, labels, count
        elif isinstance(metric, Histogram):
            middle = len(metric.buckets) // 2  # all observations fall in the bucket in the middle
            for index, bound in enumerate((*map(str, metric.buckets), "+Inf")):
                yield f"{metric.name}_bucket", {**labels, "le": bound}, count if index >= middle else _nothing
            yield f"{metric.name}_count", labels, count
            yield f"{metric.name}_sum", labels, partial(_count, _growth(labels) * metric.buckets[middle])
        else:
            yield metric.name, labels, partial(_gauge, metric, labels)


def _count(growth: float, moment: int) -> float:
    return growth * ((moment - START) // STEP)


def _nothing(moment: int) -> float:
    return 0.0


def _lines(name: str, labels: dict[str, str], value: Callable[[int], float], moments: Iterable[int]) -> Iterator[str]:
    text = ",".join(f'{label}="{content}"' for label, content in labels.items())
    for moment in moments:
        yield f"{name}{{{text}}} {value(moment)!r} {moment}\n"


def _samples(recordings: Mapping[str, frozenset[str]]) -> Iterator[str]:
    moments = range(START, END + 1, STEP)
    for metric in CATALOGUE:
        replicas = ("a:9746", "b:9746") if metric.service is Service.EXPORTER else ("a:9747",)
        while_alive = range(START, STOPPED + 1, STEP) if metric is ANALYZER_SUCCESS else moments
        for name, labels, value in _series(metric):
            for replica in replicas:
                scraped = {**labels, "job": metric.service.job, "instance": replica}
                yield from _lines(name, scraped, value, while_alive)
    for alert in _ALERTS:
        since = {label: content for label, content in alert.items() if label != "alertstate"}
        yield from _lines("ALERTS", alert, lambda _: 1.0, moments)
        yield from _lines("ALERTS_FOR_STATE", since, lambda _: START, moments)
    for name, known in recordings.items():
        series = {label: _VALUES.get(label, (f"{label}-a",))[0] for label in sorted(known)} | {"instance": "all"}
        yield from _lines(name, {**series, "pipeline": "loan"}, lambda _: 1.0, moments)
    yield "# EOF\n"


@pytest.fixture(scope="module")
def prometheus(
    recordings: dict[str, frozenset[str]], tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """URL of a Prometheus over the samples."""
    folder = tmp_path_factory.mktemp("dashboards")
    samples, blocks, config = folder / "samples.om", folder / "blocks", folder / "prometheus.yml"
    with samples.open("w", encoding="utf-8") as file:
        file.writelines(_samples(recordings))
    config.write_text("{}\n", encoding="utf-8")
    made = subprocess.run(
        [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", samples, blocks], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    with Processes(folder / "logs") as children:
        yield launch.prometheus(children, tool("prometheus"), blocks, config)


@pytest.fixture(scope="module")
def ask(prometheus: str, expand: Callable[..., str]) -> Iterator[Ask]:
    """A function that asks a panel's target as Grafana does: an instant, or the half hour up to the moment."""
    with requests.Session() as session:

        def answer(target: Json, moment: int = END) -> list[Json]:
            query: Json = {"query": expand(target["expr"])}
            if target["instant"]:
                path, query["time"] = "query", moment
            else:
                path = "query_range"
                query |= {"start": moment - 1800, "end": moment, "step": 60}
            reply = session.post(f"{prometheus}/api/v1/{path}", data=query, timeout=20).json()
            assert reply["status"] == "success", f"{reply.get('error')}: {query['query']}"
            result: list[Json] = reply["data"]["result"]
            return result

        yield answer


def _numbers(ask: Ask, panel: Json, moment: int = END) -> dict[str, float | None]:
    """What a tile shows, by legend: a number, or None for nothing."""
    shown: dict[str, float | None] = {}
    for target in panel["targets"]:
        result = ask(target, moment)
        shown[target.get("legendFormat", "")] = float(result[0]["value"][1]) if result else None
    return shown


def test_every_query_answers_with_data(ask: Ask, panels: dict[str, Json]) -> None:
    """No query fails and none is empty when every metric is there."""
    empty = [
        f"{title} {target['refId']}: {target['expr']}"
        for title, panel in panels.items()
        for target in panel["targets"]
        if "offset 7d" not in target["expr"]  # before the samples begin
        if not ask(target)
    ]

    assert empty == []


def test_no_query_answers_with_not_a_number(ask: Ask, panels: dict[str, Json]) -> None:
    """A division by nothing must give nothing: Grafana would draw NaN as a value."""
    faults = [
        f"{title} {target['refId']}"
        for title, panel in panels.items()
        for target in panel["targets"]
        for series in ask(target)
        for _, value in series.get("values", [series.get("value")])
        if value in ("NaN", "+Inf", "-Inf")
    ]

    assert faults == []


def test_nothing_answers_where_there_is_no_data(ask: Ask, panels: dict[str, Json]) -> None:
    """No panel invents a 0: each is empty, and says so with its own words."""
    invented = [
        f"{title} {target['refId']}"
        for title, panel in panels.items()
        for target in panel["targets"]
        if ask(target, BEFORE)
    ]

    assert invented == []


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        # two replicas show the same three cards
        pytest.param("In flight", {"in progress": 3, "waiting": 3}, id="replicas are not added up"),
        # 8 successes and 1 of each of 5 other outcomes in 2 minutes
        pytest.param("Finished, 1 h", {"cards": 13 * 30, "change": 0}, id="cards per hour"),
        # cancelled and skipped ones are left out: 8 of 11
        pytest.param("Success rate", {"last hour": 8 / 11, "change": 0, "n": 330}, id="success"),
        # everything in the bucket from 300 to 600 s
        pytest.param(
            "Processing time, p95", {"last hour": 300 + 0.95 * 300, "change": 0, "n": 330}, id="processing time"
        ),
        # a minute; the pipeline declares a limit of 3 seconds
        pytest.param("Inactivity", {"{{pipeline}}": 20}, id="last activity"),
        # neither the escalation level, nor the pending one, nor another team's
        pytest.param("Firing alerts", {"critical": 1, "warning": 0}, id="alerts"),
        pytest.param("Data age", {"exporter": 60}, id="age of the data"),
    ],
)
def test_the_tiles_show_what_the_samples_mean(
    title: str, expected: dict[str, float], ask: Ask, panels: dict[str, Json]
) -> None:
    """The figures worked out by hand."""
    assert _numbers(ask, panels[f"pipeline: {title}"]) == pytest.approx(expected, rel=0.001, abs=1e-9)


def test_utilisation_is_running_by_workers(ask: Ask, panels: dict[str, Json]) -> None:
    """Three attempts run, four workers are declared."""
    for series in ask(panels["bottlenecks: Worker utilization"]["targets"][0]):
        assert {float(value) for _, value in series["values"]} == {0.75}


def test_after_the_data_stopped_the_tiles_say_so(ask: Ask, panels: dict[str, Json]) -> None:
    """A quarter of an hour later nothing looks alive: no old value stands there as if it were of now."""
    assert _numbers(ask, panels["pipeline: In flight"], STOPPED) == {"in progress": None, "waiting": None}
    assert _numbers(ask, panels["pipeline: Inactivity"], STOPPED) == {"{{pipeline}}": None}
    assert _numbers(ask, panels["pipeline: Firing alerts"], STOPPED) == {"critical": None, "warning": None}
    assert _numbers(ask, panels["pipeline: Data age"], STOPPED) == {"exporter": 960}


def test_no_verdict_is_told_from_no_analyzer(ask: Ask, panels: dict[str, Json]) -> None:
    """A live analyzer without a verdict is -1 (shown as "no verdict"), a dead one is nothing."""
    for title in ("bottlenecks: Bottleneck severity", "bottlenecks: Limiting stage", "pipeline: Health score"):
        tile = panels[title]

        assert len(ask(tile["targets"][0])) > 0
        assert [entry["value"][1] for entry in ask(tile["targets"][0], STOPPED)] == ["-1"]
        assert ask(tile["targets"][0], BEFORE) == []
        assert "-1" in tile["fieldConfig"]["defaults"]["mappings"][0]["options"]
        assert tile["fieldConfig"]["defaults"]["noValue"] == "analyzer missing"


def test_the_matrix_of_strategies_says_how_many_worked(ask: Ask, panels: dict[str, Json]) -> None:
    """Three applied suggestions of each result: nine, of which a third worked."""
    panel = panels["bottlenecks: Results by strategy"]
    named = panel["transformations"][-1]["options"]["renameByName"]
    shown = {
        named[f"Value #{target['refId']}"]: [float(series["value"][1]) for series in ask(target)]
        for target in panel["targets"]
    }

    assert shown["applied"] == [9]
    assert (shown["better"], shown["unchanged"], shown["worse"]) == ([3], [3], [3])
    assert shown["success rate"] == [pytest.approx(1 / 3)]


def test_tables_have_the_columns_that_they_show(ask: Ask, panels: dict[str, Json]) -> None:
    """The labels of each answer are the label columns of the table."""
    for title, panel in panels.items():
        if panel["type"] != "table" or panel["transformations"][-1]["id"] != "organize":
            continue
        columns = {name for name in panel["transformations"][-1]["options"]["renameByName"] if "Value" not in name}
        for target in panel["targets"]:
            for series in ask(target):
                assert set(series["metric"]) <= columns, f"{title} {target['refId']}"


def _cells(ask: Ask, panel: Json) -> dict[str, list[tuple[Json, float]]]:
    """What the queries of a table answer, by column."""
    named = panel["transformations"][-1]["options"]["renameByName"]
    return {
        named[f"Value #{target['refId']}"]: [(one["metric"], float(one["value"][1])) for one in ask(target)]
        for target in panel["targets"]
    }


def test_the_first_line_names_the_stalled_pipeline_its_stage_the_cause_and_the_alert(
    ask: Ask, panels: dict[str, Json]
) -> None:
    """A minute without activity, with a limit of 3 seconds and cards in flight."""
    shown = _cells(ask, panels["pipeline: Pipelines"])

    assert shown["state"] == [({"pipeline": "loan"}, 3)]
    assert shown["inactivity"] == [({"pipeline": "loan"}, 20)]
    assert shown["limit"] == [({"pipeline": "loan"}, 3)]
    assert shown["in flight"] == [({"pipeline": "loan"}, 6)]
    ((limiting, _),) = shown["limiting"]
    assert (limiting["pipeline"], limiting["cause"]) == ("loan", "cause-a")
    assert limiting["stage"] in _VALUES["stage"]
    ((alert, _),) = shown["gravest"]
    assert (alert["pipeline"], alert["alertname"]) == ("loan", "BottleneckForming")
    assert shown["alerts"] == [({"pipeline": "loan"}, 1)]


def test_the_waterfall_adds_up_the_stages_before(ask: Ask, panels: dict[str, Json]) -> None:
    """The second stage begins when the first has waited and run."""
    panel = panels["quality: Execution waterfall of a mean card, last hour"]
    before, wait, run = (
        {one["metric"]["stage"]: float(one["value"][1]) for one in ask(target)} for target in panel["targets"]
    )

    assert before["approve"] == 0
    assert before["check"] == pytest.approx(wait["approve"] + run["approve"])
    assert before["check"] > 0


def test_stages_are_counted_once_by_severity(ask: Ask, panels: dict[str, Json]) -> None:
    """Two stages of severity 3: minor, and none is calm."""
    shown = _numbers(ask, panels["bottlenecks: Stages by severity"])

    assert shown == {"critical": 0, "warning": 0, "minor": 2, "calm": 0}
