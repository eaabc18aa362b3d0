"""Events of the past from files and from the stream: all of them, in order, at the right time."""

import asyncio
import gzip
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.errors import ConfigError, EventError
from jelmon.events import Event, encode, encode_batch
from jelmon.nats.connection import NatsSettings
from jelmon_history.inputs import event_log, json_lines, stream
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.rules.alert_states import AlertStates
from jelmon_history.rules.rule_files import Rule, levels
from jelmon_history.settings import Settings
from jelmon_history.simulation import Simulation

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


def test_lines_and_batches_of_plain_and_compressed_files(events: list[Event], tmp_path: Path) -> None:
    """File after file; a line is an event or a batch; each event arrives at its own time."""
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_bytes(b"".join(encode(event) + b"\n" for event in events[:100]))
    packed.write_bytes(gzip.compress(encode_batch(events[100:150]) + b"\n\n" + encode(events[150]) + b"\n"))
    read = list(json_lines.arrivals([plain, packed]))

    assert [arrival.event for arrival in read] == events[:151]
    assert [arrival.time for arrival in read] == [event.time.timestamp() for event in events[:151]]


def test_an_unreadable_line_is_located_and_costs_nothing_else(events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode(events[0]) + b"\n{broken\n" + encode(events[1]) + b"\n")
    first, error, second = (arrival.event for arrival in json_lines.arrivals([path]))

    assert (first, second) == (events[0], events[1])
    assert isinstance(error, EventError)
    assert error.message.startswith(f"{path}:2: ")


def test_unordered_files_are_sorted_beyond_memory(
    events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In runs of a hundred events."""
    monkeypatch.setattr(json_lines, "_EVENTS_A_RUN", 100)
    shuffled = list(events)
    random.Random(1).shuffle(shuffled)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in shuffled))
    times = [arrival.time for arrival in json_lines.sorted_arrivals([path])]

    assert times == [event.time.timestamp() for event in events]


def test_a_missing_file_is_named(jelmon: Jelmon, tmp_path: Path) -> None:
    done = jelmon("history", str(tmp_path / "none.jsonl"), "--openmetrics", str(tmp_path / "out"))

    assert done.returncode == 2
    assert "none.jsonl is not a file" in done.stderr


def test_an_event_log_is_read_as_for_replay(jelmon: Jelmon, tmp_path: Path) -> None:
    """The same events as `jelmon replay --dry-run` prints."""
    log = tmp_path / "loans.csv"
    log.write_text(
        "case,activity,start,end\n1,check,2026-03-01T10:00:00,2026-03-01T10:05:00\n"
        "2,check,2026-03-01T10:01:00,2026-03-01T10:02:00\n1,approve,2026-03-01T10:06:00,2026-03-01T10:07:00\n",
        encoding="utf-8",
    )
    printed = jelmon("replay", str(log), "--dry-run")
    assert printed.returncode == 0, printed.stderr
    again = tmp_path / "again.jsonl"
    again.write_text(printed.stdout, encoding="utf-8")

    assert list(event_log.arrivals(log, None)) == list(json_lines.arrivals([again]))
    log.write_text("case,activity,start,end\n1,check,yesterday,today\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="row"):
        list(event_log.arrivals(log, None))


def test_the_stream_is_read_to_its_end(events: list[Event], tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Every event once, at the time when it arrived in the stream."""
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server"), tmp_path / "nats")

        async def publish() -> None:
            async with Publisher(url) as publisher:
                await publisher.ensure_stream()
                await publisher.publish_many(events)

        asyncio.run(publish())
        read = list(stream.arrivals(NatsSettings(url=url)))

    assert sorted(arrival.event.id for arrival in read if not isinstance(arrival.event, EventError)) == sorted(
        event.id for event in events
    )
    assert [arrival.time for arrival in read] == sorted(arrival.time for arrival in read)
    assert all(arrival.time > event.time.timestamp() for arrival, event in zip(read, events, strict=True))


def test_time_goes_on_without_events(events: list[Event]) -> None:
    """Scrapes go on to `until`; an event after it is ignored."""
    arrivals = [Arrival(event.time.timestamp(), event) for event in events]
    end = arrivals[-1].time
    longer = list(Simulation(Settings(analyzers=False, until=end + 600)).run(arrivals))
    shorter = list(Simulation(Settings(analyzers=False, until=end - 300)).run(arrivals))

    assert end + 600 <= longer[-1].end < end + 660
    assert end - 300 <= shorter[-1].end < end - 240


def test_a_rule_comes_after_what_it_reads() -> None:
    """One that reads its own result is left out, with what reads it; alerts come last."""
    rules = [
        Rule(name="c", expr="b + a"),
        Rule(name="b", expr="sum(a)"),
        Rule(name="a", expr="raw_metric"),
        Rule(name="b", expr="raw_metric"),
        Rule(name="itself", expr="itself or raw_metric"),
        Rule(name="reader", expr="itself"),
        Rule(name="Alert", expr="c > 1", alert=True),
        Rule(name="Left", expr="reader > 1", alert=True),
    ]

    assert [[rule.name for rule in level] for level in levels(rules)] == [["a"], ["b", "b"], ["c"], ["Alert"]]


def test_states_of_an_alert() -> None:
    """Pending for two minutes, firing, kept for one minute; the state goes on from piece to piece."""
    states = AlertStates(for_seconds=120, keep_firing_seconds=60)
    labels = (("pipeline", "a"),)
    pieces = [np.array([np.nan, 5, 5, 5]), np.array([np.nan, np.nan, 5, np.nan])]
    told = ""
    for number, values in enumerate(pieces):
        times = np.arange(4, dtype=np.float64) * 60 + 240 * number
        pending, firing, since = states.states(times, {labels: values})[labels]
        for each in zip(pending, firing, since, strict=True):
            told += "p" if each[0] == 1 else "f" if each[1] == 1 else "."
            assert np.isnan(each[2]) == (told[-1] == ".")

    # the last result is at 180; a minute later it is no longer kept
    assert told == ".ppf..p."
