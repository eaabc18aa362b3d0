"""An event log, replayed through NATS and the exporter, gives exactly the oracle's figures.

Two logs: one that our simulator writes, always; and one of a process that somebody else simulated, whose figures PM4Py
computed, where the test data are (see `recorded_data` in tests/conftest.py).
"""

import asyncio
import csv
import gzip
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import nats
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.events import CardFinished, StageFinished, StageQueued, StageStarted
from jelmon.nats.connection import NatsSettings
from jelmon.nats.streams import event_stream
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import Arrivals, Duration, Scenario, Stage
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings

RECORDED, SIMULATED = "loan_simulated", "simulated"
MILLISECOND = timedelta(milliseconds=1)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Truth:
    """Counts, and sums of integer milliseconds, from the CSV by the shortest way: nothing of ours is used."""

    log: Path
    cards: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    run_milliseconds: Counter[str] = field(default_factory=Counter)
    queue_milliseconds: Counter[str] = field(default_factory=Counter)
    card_milliseconds: int = 0
    wait_milliseconds: int = 0

    @property
    def pipeline(self) -> str:
        return self.log.name.partition(".")[0]

    @property
    def events(self) -> int:
        """Each card is queued, started and finished; so is each run."""
        return 3 * (self.cards + sum(self.runs.values()))


@pytest.fixture(scope="module", params=[SIMULATED, RECORDED])
def truth(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """What the log says."""
    if request.param == RECORDED:
        log: Path = request.getfixturevalue("recorded_data") / "eventlogs" / f"{RECORDED}.csv.gz"
    else:
        log = tmp_path_factory.mktemp("log") / f"{SIMULATED}.csv.gz"
        write_simulated_log(log)
    truth = Truth(log)
    cases: defaultdict[str, list[tuple[datetime, datetime, datetime]]] = defaultdict(list)
    with gzip.open(log, "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            queued, start, end = (
                datetime.fromisoformat(row[name]) for name in ("queued_ts", "start_ts", "complete_ts")
            )
            activity = row["activity"]
            truth.runs[activity] += 1
            truth.run_milliseconds[activity] += (end - start) // MILLISECOND
            truth.queue_milliseconds[activity] += (start - queued) // MILLISECOND
            cases[row["case_id"]].append((queued, start, end))
    truth.cards = len(cases)
    for times in cases.values():
        queued, start, end = min(t[0] for t in times), min(t[1] for t in times), max(t[2] for t in times)
        truth.card_milliseconds += (end - start) // MILLISECOND
        truth.wait_milliseconds += (start - queued) // MILLISECOND
    return truth


def write_simulated_log(path: Path) -> None:
    """Write the runs of a simulated hour as a CSV event log: whole cards only, every run successful."""
    stages = tuple(
        Stage(stage=name, workers=workers, service=Duration(median_seconds=median))
        for name, workers, median in (("build", 2, 8.0), ("tests", 4, 20.0), ("deploy", 1, 5.0))
    )
    scenario = Scenario(pipeline=SIMULATED, arrivals=Arrivals(per_minute=9), stages=stages)
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    rows: defaultdict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    finished = set()
    columns = {StageQueued: "queued_ts", StageStarted: "start_ts", StageFinished: "complete_ts"}
    for step in simulate(scenario, seed=1, start=start, seconds=3600):
        event = step.event
        if isinstance(event, CardFinished):
            finished.add(event.subject)
        elif isinstance(event, StageQueued | StageStarted | StageFinished):
            run = rows[event.subject][event.data.stage]
            run[columns[type(event)]] = event.time.isoformat(timespec="milliseconds")
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["case_id", "activity", *columns.values()])
        writer.writeheader()
        for card in sorted(finished):
            writer.writerows({"case_id": card, "activity": stage, **times} for stage, times in rows[card].items())


def oracle_by_numpy(path: Path) -> dict[str, Any]:
    """Compute the oracle's figures from the columns of a log."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        table = np.array(list(csv.reader(stream))[1:])
    cases, activities = table[:, 0], table[:, 1]
    queued, start, end = table[:, 2:5].astype("U23").astype("datetime64[ms]").astype("int64").T / 1000
    names, inverse = np.unique(cases, return_inverse=True)
    first, last = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(first, inverse, start)
    np.maximum.at(last, inverse, end)
    return {
        "cases": len(names),
        "rows": len(table),
        "activities": len(np.unique(activities)),
        "case_duration_s": {"mean": (last - first).mean()},
        "activity": {
            name: {
                "count": int((activities == name).sum()),
                "service_s": {"mean": (end - start)[activities == name].mean()},
                "wait_s": {"mean": (start - queued)[activities == name].mean()},
            }
            for name in np.unique(activities)
        },
    }


@pytest.fixture
async def nats_server(tmp_path: Path, tool: Callable[[str], Path]) -> AsyncIterator[str]:
    """A NATS server of the test's own."""
    with Processes(tmp_path / "logs") as processes:
        yield await asyncio.to_thread(launch.nats, processes, tool("nats-server"), tmp_path / "nats")


@pytest.fixture(params=["memory", "redis"])
async def exporter(request: pytest.FixtureRequest, nats_server: str) -> AsyncIterator[Exporter]:
    """The real exporter over a real stream, with its state in memory or in Redis."""
    redis_url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    async with running(nats_server, redis_url) as exporter:
        yield exporter


@asynccontextmanager
async def running(nats_url: str, redis_url: str | None) -> AsyncIterator[Exporter]:
    """An exporter that is connected."""
    settings = ExporterSettings(
        listen_address=ListenAddress("127.0.0.1", 0), nats=NatsSettings(url=nats_url), redis_url=redis_url
    )
    exporter = Exporter(settings)
    await exporter.start()
    try:
        await _until(lambda: exporter.source.up)
        yield exporter
    finally:
        await exporter.stop()


def test_the_recount_agrees_with_the_oracle(truth: Truth) -> None:
    """Our own recount is checked against figures that others computed, which are means to the millisecond.

    PM4Py and numpy did for the recorded log; numpy alone does here for the simulated one.
    """
    if truth.pipeline == RECORDED:
        oracle = json.loads((truth.log.parent / "oracle.json").read_text(encoding="utf-8"))["logs"][RECORDED]
        assert (truth.cards, sum(truth.runs.values()), len(truth.runs)) == (1000, 7495, 12)
        assert truth.events == 25485
    else:
        oracle = oracle_by_numpy(truth.log)
        assert truth.cards > 400

    assert (truth.cards, sum(truth.runs.values()), len(truth.runs)) == (
        oracle["cases"],
        oracle["rows"],
        oracle["activities"],
    )
    assert truth.card_milliseconds / truth.cards == pytest.approx(1000 * oracle["case_duration_s"]["mean"], abs=0.51)
    for activity, figures in oracle["activity"].items():
        count = truth.runs[activity]
        assert count == figures["count"]
        assert truth.run_milliseconds[activity] / count == pytest.approx(1000 * figures["service_s"]["mean"], abs=0.51)
        assert truth.queue_milliseconds[activity] / count == pytest.approx(1000 * figures["wait_s"]["mean"], abs=0.51)


async def test_a_replayed_log_is_counted_exactly_and_once(truth: Truth, exporter: Exporter, nats_server: str) -> None:
    """Cards, runs of every stage and sums of durations equal the log's, also after a second replay of the same log."""
    first = await asyncio.to_thread(_replay, truth, nats_server)
    samples = await _counted(exporter, truth)
    _compare(samples, truth)
    second = await asyncio.to_thread(_replay, truth, nats_server)
    again = await _counted(exporter, truth)

    assert f"\n{truth.events} events stored, in" in first
    assert f"\n0 events stored, {truth.events} already stored" in second
    assert again == samples


async def test_the_exporter_knows_a_replay_that_the_stream_has_forgotten(truth: Truth, nats_server: str) -> None:
    """After JetStream's duplicate window the same events are stored again; the exporter still counts them once."""
    client = await nats.connect(nats_server)
    stream = event_stream()
    stream.duplicate_window = 0.1
    await client.jetstream().add_stream(stream)
    await client.close()
    async with running(nats_server, redis_url=None) as exporter:
        await asyncio.to_thread(_replay, truth, nats_server)
        samples = await _counted(exporter, truth)
        second = await asyncio.to_thread(_replay, truth, nats_server)
        again = await _counted(exporter, truth, duplicates=truth.events)

    assert f"\n{truth.events} events stored, in" in second
    assert again == samples


def _replay(truth: Truth, url: str) -> str:
    """Run the command line as a user does; its summary."""
    command = ["replay", str(truth.log), "--nats.url", url]
    done = subprocess.run([sys.executable, "-m", "jelmon", *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{truth.cards} cards, {sum(truth.runs.values())} runs of stages" in done.stderr
    return done.stderr


async def _counted(exporter: Exporter, truth: Truth, *, duplicates: int = 0) -> Samples:
    """The pipeline's samples once nothing is left to read, and all cards and repetitions are counted."""
    deadline = time.monotonic() + 60
    while True:
        samples = await _scrape(exporter)
        finished = samples.get(_key(truth.pipeline, "jelmore_cards_finished_total", outcome="success"), 0)
        repeated = samples[("jelmore_exporter_events_duplicate_total", ())]
        if finished >= truth.cards and repeated >= duplicates and _lag(samples) == 0:
            return {key: value for key, value in samples.items() if ("pipeline", truth.pipeline) in key[1]}
        assert time.monotonic() < deadline, f"{finished} cards and {repeated} repetitions after 60 s"
        await asyncio.sleep(0.1)


def _lag(samples: Samples) -> float:
    lags = [value for (name, _), value in samples.items() if name == "jelmore_exporter_consumer_lag"]
    return sum(lags) if lags else 1


async def _scrape(exporter: Exporter) -> Samples:
    async with aiohttp.ClientSession() as session, session.get(f"{exporter.url}/metrics") as response:
        text = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _key(pipeline: str, name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({"pipeline": pipeline, **labels}.items()))


def _compare(samples: Samples, truth: Truth) -> None:
    """Every figure, as integers: counts, and sums in milliseconds."""
    assert samples[_key(truth.pipeline, "jelmore_cards_started_total")] == truth.cards
    assert samples[_key(truth.pipeline, "jelmore_cards_queued_total")] == truth.cards
    assert samples[_key(truth.pipeline, "jelmore_cards_in_progress")] == 0
    assert samples[_key(truth.pipeline, "jelmore_cards_waiting")] == 0
    assert _histogram(samples, truth.pipeline, "jelmore_card_processing_seconds", outcome="success") == (
        truth.cards,
        truth.card_milliseconds,
    )
    assert _histogram(samples, truth.pipeline, "jelmore_card_wait_seconds") == (truth.cards, truth.wait_milliseconds)
    for stage, count in truth.runs.items():
        assert samples[_key(truth.pipeline, "jelmore_stage_runs_started_total", stage=stage)] == count
        assert (
            samples[_key(truth.pipeline, "jelmore_stage_runs_finished_total", stage=stage, outcome="success")] == count
        )
        assert samples[_key(truth.pipeline, "jelmore_stage_runs_in_progress", stage=stage)] == 0
        assert samples[_key(truth.pipeline, "jelmore_stage_queue_depth", stage=stage)] == 0
        run = _histogram(samples, truth.pipeline, "jelmore_stage_run_seconds", stage=stage, outcome="success")
        assert run == (count, truth.run_milliseconds[stage])
        assert _histogram(samples, truth.pipeline, "jelmore_stage_queue_seconds", stage=stage) == (
            count,
            truth.queue_milliseconds[stage],
        )
    stages = {dict(labels)["stage"] for name, labels in samples if name == "jelmore_stage_runs_started_total"}
    assert stages == set(truth.runs)


def _histogram(samples: Samples, pipeline: str, name: str, **labels: str) -> tuple[float, int]:
    """Count, and sum in milliseconds; the sum of a float must be a whole number of them."""
    milliseconds = samples[_key(pipeline, f"{name}_sum", **labels)] * 1000
    assert abs(milliseconds - round(milliseconds)) < 1e-3
    return samples[_key(pipeline, f"{name}_count", **labels)], round(milliseconds)


async def _until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        await asyncio.sleep(0.05)
