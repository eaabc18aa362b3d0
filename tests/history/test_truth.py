"""Every query of every dashboard, over a week with known truth in a real Prometheus.

The week is made once, by the parts of `jelmon history`: simulation, remote write, the shipped rules. Two pipelines work
for seven days. Then they are idle for 13 hours; then the exporter restarts without its state, its
counters begin at 0 again, and the analyzers are gone for an hour.

A query must answer if every metric that it names has samples in its range; a few list troubles, and may be empty.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from jelmon import events as e
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.events import Event
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import DEMO, Arrivals, Calls, Change, Duration, Scenario
from jelmon_history.backfill import Derived, derive, write_samples
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.outputs.blocks import _OPTIONS, _TAKES_SAMPLES
from jelmon_history.outputs.remote_write import Receiver, RemoteWriter
from jelmon_history.prometheus import Prometheus
from jelmon_history.rules import rule_files
from jelmon_history.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
STEP = 120
START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=7)
IDLE = END + timedelta(hours=12)
RESET = END + timedelta(hours=13)
AFTER_RESET = RESET + timedelta(minutes=20)
BEFORE = START - timedelta(days=30)
RANGES = {"15m": 900, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400}
EVERYTHING = {"job": ".+", "instance": ".+", "pipeline": ".*", "stage": ".*"}
PIPELINES = ("checkout", "search")


def scenarios() -> list[Scenario]:
    """Two pipelines; a stage of one is slow for a day, and all of it stalls for an hour."""
    day, hour = 86400.0, 3600.0
    changes = (
        Change(at_seconds=4 * day, kind="slow", stage="test_execution", factor=40),
        Change(at_seconds=5 * day, kind="recover", stage="test_execution"),
        Change(at_seconds=6 * day, kind="stall"),
        Change(at_seconds=6 * day + hour, kind="recover"),
    )
    calls = Calls(target="source-control", per_minute=0.1, duration=Duration(median_seconds=0.1), error_share=0.1)
    common: dict[str, Any] = {"stages": DEMO.stages, "stall_limit_seconds": 1800, "card_target_seconds": 60}
    return [
        Scenario(
            pipeline=PIPELINES[0],
            arrivals=Arrivals(per_minute=0.2, daily_swing=0.5),
            sessions=DEMO.sessions[:1],
            calls=(calls,),
            changes=changes,
            **common,
        ),
        Scenario(pipeline=PIPELINES[1], arrivals=Arrivals(per_minute=0.15), **common),
    ]


def events_between(start: datetime, end: datetime, *, seed: int) -> list[Event]:
    """The events of both pipelines, in order of time."""
    seconds = (end - start).total_seconds()
    runs = [simulate(each, seed=seed, start=start, seconds=seconds) for each in scenarios()]
    return [step.event for step in merge(*runs, key=lambda step: step.at)]  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Target:
    """A query of a panel."""

    name: str
    expr: str
    instant: bool
    interval: str  # least interval of the panel

    def expanded(self, *, seconds: int, variables: Mapping[str, str]) -> str:
        """The query as Grafana sends it, with a scrape interval of `STEP` in the data source."""
        interval = max(seconds // 500, STEP, _seconds(self.interval))
        values = {
            **EVERYTHING,
            **variables,
            "__range": f"{seconds}s",
            "__range_s": str(seconds),
            "__interval": f"{interval}s",
            "__rate_interval": f"{max(interval + STEP, 4 * STEP)}s",
        }
        # "$1" is of label_replace; every other unknown variable is an error
        return re.sub(
            r"\$(?:\{([a-z_]\w*)(?::\w+)?\}|([a-z_]\w*))", lambda match: values[match[1] or match[2]], self.expr
        )


def _seconds(interval: str) -> int:
    match = re.fullmatch(r">?(\d+)([smhd])", interval or "")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0


def targets_of(board: Json) -> Iterator[Target]:
    """Every Prometheus query of a dashboard, also of collapsed rows."""
    panels = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", ()))]
    for panel in panels:
        for target in panel.get("targets", ()):
            if target.get("expr"):
                interval = target.get("interval") or panel.get("interval") or ""
                name = f"{board['uid']}: {panel['title']} {target['refId']}"
                yield Target(name, target["expr"], bool(target.get("instant")), interval)


@pytest.fixture(scope="session")
def targets() -> list[Target]:
    """Every query of every dashboard."""
    boards = sorted((ROOT / "grafana/dashboards").glob("*.json"))
    found = [target for path in boards for target in targets_of(json.loads(path.read_text(encoding="utf-8")))]
    assert len(found) > 150
    return found


@pytest.fixture(scope="session")
def week() -> list[Event]:
    """The events of the week: what is true."""
    return events_between(START, END, seed=3)


@pytest.fixture(scope="session")
def server(week: list[Event], tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus that holds all of it."""
    folder = tmp_path_factory.mktemp("week")
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"storage": {"tsdb": {"out_of_order_time_window": "90d"}}}), encoding="utf-8")
    program = Path(os.environ.get("JELMON_TEST_PROMETHEUS") or tool("prometheus"))
    rules = rule_files.load(sorted((ROOT / "deploy/prometheus/rules").glob("*.yml")))
    derived = Derived(rules=rules, regression_seconds=43200)
    with Processes(folder / "logs") as processes:
        options = (*_OPTIONS, *_TAKES_SAMPLES)
        url = launch.prometheus(processes, program, folder / "data", config, options=options)
        writer = RemoteWriter(Receiver(url=f"{url}/api/v1/write"))
        try:
            settings = Settings(step=STEP, analyzer_seconds=3600, until=RESET.timestamp() - STEP)
            totals = write_samples(settings, _arrivals(week), writer)
            again = Settings(step=STEP, analyzers=False, until=(RESET + timedelta(hours=1)).timestamp())
            after = write_samples(again, _arrivals(events_between(RESET, RESET + timedelta(hours=1), seed=4)), writer)
            totals.end = after.end
            derive(writer, Prometheus(url), settings, derived, totals, lambda _: None)
        finally:
            writer.close()
        yield url


def _arrivals(events: list[Event]) -> Iterator[Arrival]:
    for event in events:
        yield Arrival(event.time.timestamp(), event)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered to a query."""

    target: Target
    series: list[Json]
    samples: int  # that the server had to read
    error: str = ""

    @property
    def numbers(self) -> list[str]:
        """All values, as text."""
        return [value for each in self.series for _, value in each.get("values") or [each["value"]]]


Ask = Callable[..., list[Answer]]


@pytest.fixture(scope="session")
def ask(server: str) -> Iterator[Ask]:
    """A function that asks many targets at once, for a range that ends at a moment."""
    session = requests.Session()

    def one(target: Target, at: datetime, seconds: int, variables: Mapping[str, str]) -> Answer:
        end = at.timestamp()
        query: Json = {"query": target.expanded(seconds=seconds, variables=variables), "stats": "all"}
        if target.instant:
            path, query["time"] = "query", end
        else:
            step = max(seconds // 500, STEP, _seconds(target.interval))
            path, query["start"], query["end"], query["step"] = "query_range", end - seconds, end, step
        reply = session.post(f"{server}/api/v1/{path}", data=query, timeout=120).json()
        if reply["status"] != "success":
            return Answer(target, [], 0, reply.get("error", "failed"))
        data = reply["data"]
        if data["resultType"] == "scalar":
            return Answer(target, [{"metric": {}, "value": data["result"]}], 0)
        return Answer(target, data["result"], data["stats"]["samples"]["totalQueryableSamples"])

    def many(
        targets: list[Target], at: datetime, *, seconds: int = 21600, variables: Mapping[str, str] = EVERYTHING
    ) -> list[Answer]:
        return list(pool.map(lambda target: one(target, at, seconds, variables), targets))

    with ThreadPoolExecutor(4) as pool, session:
        yield many


@pytest.fixture(scope="session")
def named(server: str) -> Callable[[datetime, int], set[str]]:
    """A function that returns the names of all series with samples in a range."""
    known: dict[tuple[datetime, int], set[str]] = {}

    def names(at: datetime, seconds: int) -> set[str]:
        if (at, seconds) not in known:
            query: Json = {"query": f'count by (__name__) (last_over_time({{__name__=~".+"}}[{seconds}s]))'}
            reply = requests.post(f"{server}/api/v1/query", data=query | {"time": at.timestamp()}, timeout=120).json()
            assert reply["status"] == "success", reply
            known[at, seconds] = {each["metric"]["__name__"] for each in reply["data"]["result"]}
        return known[at, seconds]

    return names


_METRIC = re.compile(r"\b(?:jelmore[_:][\w:]+|ALERTS(?:_FOR_STATE)?|up)\b(?=\s*[{\[)\s]|$)")


def _faults(answers: list[Answer]) -> list[str]:
    """What is wrong with answers, whatever is true: errors, values that are no numbers, too many series or samples."""
    faults = [f"{answer.target.name}: {answer.error}" for answer in answers if answer.error]
    for answer in answers:
        strange = [value for value in answer.numbers if value in ("NaN", "+Inf", "-Inf")]
        if strange:
            faults.append(f"{answer.target.name}: {strange[0]}")
        if len(answer.series) > MOST_SERIES:
            faults.append(f"{answer.target.name}: {len(answer.series)} series")
        if answer.samples > MOST_SAMPLES:
            faults.append(f"{answer.target.name}: {answer.samples} samples")
    return faults


MOST_SERIES = 150
MOST_SAMPLES = 5_000_000
"""Samples that a query may read: Prometheus reads ten million in a second. Unlike a time it is the same everywhere."""


@pytest.mark.parametrize("name", RANGES)
def test_every_query_answers_where_there_is_something(
    name: str, ask: Ask, targets: list[Target], named: Callable[[datetime, int], set[str]]
) -> None:
    """At the end of the week, for each range, with everything chosen."""
    seconds = RANGES[name]
    answers = ask(targets, END, seconds=seconds)
    there = named(END, seconds)
    empty = [
        answer.target.name
        for answer in answers
        if not answer.series
        and not MAY_BE_EMPTY.search(answer.target.name)
        and set(_METRIC.findall(answer.target.expr)) <= there
    ]

    assert _faults(answers) == []
    assert empty == []


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"pipeline": "checkout"}, id="one pipeline"),
        pytest.param({"pipeline": "(checkout|search)"}, id="several pipelines"),
        pytest.param({"pipeline": "search", "stage": "deploy"}, id="one stage"),
        pytest.param({"stage": "(deploy|security_scan)"}, id="several stages"),
        pytest.param({"job": "jelmon-exporter"}, id="one job"),
    ],
)
def test_answers_have_the_chosen_labels_only(variables: dict[str, str], ask: Ask, targets: list[Target]) -> None:
    """A series that names a pipeline or stage names a chosen one."""
    answers = ask(targets, END, variables=variables)
    wrong = [
        f"{answer.target.name}: {series['metric']}"
        for answer in answers
        for series in answer.series
        for label, pattern in variables.items()
        if series["metric"].get(label) and not re.fullmatch(pattern, series["metric"][label])
    ]

    assert _faults(answers) == []
    assert wrong == []


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(BEFORE, id="empty"),
        pytest.param(IDLE, id="idle"),
        pytest.param(AFTER_RESET, id="just reset, without analyzers"),
    ],
)
def test_no_query_fails_or_invents_a_number(moment: datetime, ask: Ask, targets: list[Target]) -> None:
    """Over the last six hours: no error, no NaN, and no negative count, rate or share after a reset."""
    answers = ask(targets, moment)

    assert _faults(answers) == []
    if moment == BEFORE:
        assert [answer.target.name for answer in answers if answer.series] == []


def _finished(week: list[Event], kind: type[Any], *, hours: float = 168, **data: Any) -> int:
    """How many events of a kind the last hours of the week had, with these fields."""
    since = END - timedelta(hours=hours)
    return sum(
        isinstance(event, kind)
        and since < event.time <= END
        and all(getattr(event.data, field) == value for field, value in data.items())
        for event in week
    )


def test_twenty_numbers_are_the_truth(week: list[Event], server: str) -> None:
    """Differences of counters, gauges and recorded signals at the end of the week, against the events themselves."""
    good, bad = e.Outcome.SUCCESS, e.Outcome.FAILURE
    kinds: list[tuple[str, int, str, type[Any], dict[str, Any]]] = [
        ("jelmore_cards_finished_total", hours, f'pipeline="{pipeline}",outcome="{outcome}"', e.CardFinished,
         {"pipeline": pipeline, "outcome": outcome})
        for pipeline in PIPELINES for outcome in (good, bad) for hours in (1, 24)
    ]  # fmt: skip
    for pipeline in PIPELINES:
        chosen = f'pipeline="{pipeline}"'
        kinds += [
            ("jelmore_cards_started_total", 24, chosen, e.CardStarted, {"pipeline": pipeline}),
            ("jelmore_stage_runs_started_total", 24, f'{chosen},stage="deploy"', e.StageStarted,
             {"pipeline": pipeline, "stage": "deploy"}),
            ("jelmore_tests_finished_total", 24, f'{chosen},category="unit"', e.TestFinished,
             {"pipeline": pipeline, "category": "unit"}),
            ("jelmore_gate_evaluations_total", 24, f'{chosen},gate="coverage"', e.GateEvaluated,
             {"pipeline": pipeline, "gate": "coverage"}),
            ("jelmore_scans_finished_total", 24, f'{chosen},scanner="sast"', e.ScanFinished,
             {"pipeline": pipeline, "scanner": "sast"}),
            ("jelmore_card_processing_seconds_count", 24, f'{chosen},outcome="success"', e.CardFinished,
             {"pipeline": pipeline, "outcome": good}),
        ]  # fmt: skip
    truths = [_finished(week, kind, hours=hours, **fields) for _, hours, _, kind, fields in kinds]
    told = []
    for name, hours, matchers, _, _ in kinds:
        expr = f"sum({name}{{{matchers}}} - {name}{{{matchers}}} offset {hours}h)"
        told.append(round(_value(server, expr)))

    assert len(truths) == 20
    assert told == truths
    assert min(sum(truths[:8]), *truths[8:]) > 0


def test_gauges_and_signals_are_the_truth(week: list[Event], server: str) -> None:
    """Cards in flight, the last activity, the pace and the time of a card, as the rules record them."""
    for pipeline in PIPELINES:
        mine = [event for event in week if getattr(event.data, "pipeline", None) == pipeline]
        started = {event.subject for event in mine if isinstance(event, e.CardStarted)}
        finished = {event.subject for event in mine if isinstance(event, e.CardFinished)}
        active = (e.CardStarted, e.CardFinished, e.StageStarted, e.StageFinished, e.StageRetried)
        last = max(event.time.timestamp() for event in mine if isinstance(event, active))
        pace = _finished(week, e.CardFinished, hours=0.25, pipeline=pipeline) * 4

        assert _value(server, f'jelmore_cards_in_progress{{pipeline="{pipeline}"}}') == len(started - finished)
        assert _value(server, f'jelmore_pipeline_last_activity_timestamp_seconds{{pipeline="{pipeline}"}}') == last
        # a rate is extrapolated to the ends of its range
        assert _value(server, f'jelmore:cards_per_hour{{pipeline="{pipeline}"}}') == pytest.approx(pace, rel=0.2, abs=5)


def _value(server: str, expr: str) -> float:
    query = {"query": expr, "time": END.timestamp()}
    reply = requests.post(f"{server}/api/v1/query", data=query, timeout=60).json()
    assert reply["status"] == "success", reply
    result = reply["data"]["result"]
    assert len(result) == 1, expr
    return float(result[0]["value"][1])


MAY_BE_EMPTY = re.compile(r"(?i)alert|critical|severe|regress|forecast|budget|suggest|result|strateg|limits|action")
