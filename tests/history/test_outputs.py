"""What arrives at the other end: OpenMetrics through promtool, blocks with rules, remote write with failures."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pytest

from jelmon.errors import SourceError
from jelmon.events import Event
from jelmon_history.backfill import Resume, write_samples
from jelmon_history.columns import Chunk, Columns, Recorder, labels_of
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.outputs.protobuf import STALE
from jelmon_history.outputs.remote_write import Receiver, RemoteWriter
from jelmon_history.settings import Settings
from jelmon_history.simulation import Simulation
from jelmon_store.read.protobuf import fields

Jelmon = Callable[..., subprocess.CompletedProcess[str]]
Samples = dict[tuple[str, int], float]
RULES = """
groups:
  - name: test
    rules:
      - {record: "a:cards", expr: 'sum by (pipeline) (jelmore_cards_started_total)', labels: {kind: first}}
      - {record: "a:cards_doubled", expr: '2 * max by (pipeline) (a:cards)'}
      - {record: "a:itself", expr: 'a:itself or vector(1)'}
      - {alert: CardsCame, expr: 'a:cards_doubled > 4', for: 2m, labels: {severity: info}}
      - {alert: SomethingElse, expr: 'vector(1)'}
"""


def arrivals_of(events: list[Event]) -> Iterator[Arrival]:
    """The events, each at its own time."""
    for event in events:
        yield Arrival(event.time.timestamp(), event)


def samples_of(chunks: list[Chunk]) -> Samples:
    """Every sample by series and time; a staleness marker is None-like NaN and left out."""
    samples: Samples = {}
    for chunk in chunks:
        for column, labels in enumerate(chunk.labels):
            for row in np.flatnonzero(~np.isnan(chunk.values[:, column])):
                samples[_text(labels), int(chunk.times[row])] = float(chunk.values[row, column])
    return samples


def dumped(promtool: Path, blocks: Path) -> Samples:
    """Every sample of the blocks, as promtool prints them; promtool leaves staleness markers as NaN."""
    (blocks / "wal").mkdir()  # promtool wants one
    done = subprocess.run([promtool, "tsdb", "dump", blocks], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    samples: Samples = {}
    for line in done.stdout.splitlines():
        series, value, time = line.rsplit(" ", 2)
        if value != "NaN":
            samples[series.replace('", ', '",'), int(time)] = float(value)
    return samples


def _text(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}"


def test_promtool_makes_blocks_of_openmetrics(
    jelmon: Jelmon, tool: Callable[[str], Path], tmp_path: Path, events: list[Event], events_file: Path
) -> None:
    """Every sample arrives, and none else."""
    done = jelmon("history", str(events_file), "--openmetrics", str(tmp_path / "text"), "--no-analyzers")
    assert done.returncode == 0, done.stderr
    for file in (tmp_path / "text").glob("*.om"):
        command: list[str | Path] = [
            tool("promtool"),
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=18h",
        ]
        made = subprocess.run([*command, file, tmp_path / "blocks"], capture_output=True, text=True, timeout=100)
        assert made.returncode == 0, made.stderr

    expected = samples_of(list(Simulation(Settings(analyzers=False)).run(arrivals_of(events))))
    assert len(expected) > 5_000
    assert dumped(tool("promtool"), tmp_path / "blocks") == expected


def test_blocks_hold_samples_and_what_rules_record(
    jelmon: Jelmon, tool: Callable[[str], Path], tmp_path: Path, events: list[Event], events_file: Path
) -> None:
    """Level by level; alerts about pipelines only; nothing but blocks is left in the folder."""
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES, encoding="utf-8")
    data = tmp_path / "data"
    arguments = ["history", str(events_file), "--tsdb", os.path.relpath(data), "--no-analyzers", "--rules", str(rules)]
    done = jelmon(*arguments)
    assert done.returncode == 0, done.stderr
    assert all((path / "meta.json").is_file() for path in data.iterdir())
    held = dumped(tool("promtool"), data)
    plain = samples_of(list(Simulation(Settings(analyzers=False)).run(arrivals_of(events))))
    derived = {key: value for key, value in held.items() if key not in plain}
    end = max(time for _, time in plain)
    cards = next(value for (name, time), value in plain.items() if "cards_started_total" in name and time == end)

    assert {key: held.get(key) for key in plain} == plain
    assert {name for name, _ in derived} == {
        '{__name__="a:cards",kind="first",pipeline="demo"}',
        '{__name__="a:cards_doubled",pipeline="demo"}',
        '{__name__="ALERTS",alertname="CardsCame",alertstate="pending",pipeline="demo",severity="info"}',
        '{__name__="ALERTS",alertname="CardsCame",alertstate="firing",pipeline="demo",severity="info"}',
        '{__name__="ALERTS_FOR_STATE",alertname="CardsCame",pipeline="demo",severity="info"}',
    }
    assert derived['{__name__="a:cards_doubled",pipeline="demo"}', end] == 2 * cards

    again = jelmon(*arguments)
    assert again.returncode == 2
    assert "is not empty" in again.stderr


class Server:
    """A server that takes remote write; it answers as it is told, then with 204."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.bodies: list[bytes] = []

    @contextmanager
    def run(self) -> Iterator[str]:
        """Serve; yield the URL."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = outer.answers.pop(0) if outer.answers else (204, "")
                if status < 300:
                    outer.bodies.append(bytes(cramjam.snappy.decompress_raw(body)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/api/v1/write"
            finally:
                server.shutdown()
                thread.join()


def test_requests_are_what_the_store_reads(events: list[Event]) -> None:
    """Decoded by another implementation: labels, times and values; a series that ended has a staleness marker."""
    chunks = list(Simulation(Settings(analyzers=False)).run(arrivals_of(events)))
    server = Server()
    with server.run() as url, closing(RemoteWriter(Receiver(url=url), samples_per_request=500)) as writer:
        for chunk in chunks:
            writer.write(chunk)
        writer.finish()
    told: Samples = {}
    stale = 0
    for body in server.bodies:
        for labels, samples in decoded(body):
            for value, time in samples:
                if np.float64(value).tobytes() == STALE.tobytes():
                    stale += 1
                else:
                    told[labels, time] = value

    assert told == samples_of(chunks)
    assert stale == sum(int(chunk.stale.sum()) for chunk in chunks) > 0
    assert len(server.bodies) > 10


def decoded(body: bytes) -> Iterator[tuple[str, list[tuple[float, int]]]]:
    """Labels and samples of each series of a write request, read field by field."""
    for _, _, series in fields(body):
        labels, samples = [], []
        assert isinstance(series, bytes)
        for number, _, part in fields(series):
            assert isinstance(part, bytes)
            values = [value for _, _, value in fields(part)]
            if number == 1:
                labels.append(tuple(value.decode() for value in values if isinstance(value, bytes)))
            else:
                samples.append((float(np.frombuffer(values[0], "<f8")[0]), int(values[1])))  # type: ignore[arg-type]
        yield _text(tuple(labels)), samples  # type: ignore[arg-type]


def a_chunk(first: int, rows: int = 2) -> Chunk:
    """One series that counts."""
    columns = Columns()
    recorder = Recorder(columns)
    index = columns.column(labels_of("x", {"job": "a"}))
    for row in range(rows):
        columns.set(index, row)
        recorder.record(first + 60.0 * row)
    return recorder.take()


def test_what_fails_for_the_moment_is_sent_again() -> None:
    server = Server()
    server.answers = [(503, "starting"), (429, "slow down")]
    with server.run() as url, closing(RemoteWriter(Receiver(url=url))) as writer:
        writer.write(a_chunk(1_772_000_000))
        writer.finish()

        assert (writer.requests, writer.retries) == (1, 2)


@pytest.mark.parametrize(
    ("status", "answer", "hint"),
    [
        (400, "out of bounds", "out_of_order_time_window"),
        (400, "out of order sample", "out_of_order_time_window"),
        (404, "remote write receiver needs to be enabled", "--web.enable-remote-write-receiver"),
        (401, "no org id", "X-Scope-OrgID"),
        (403, "", "REMOTE_WRITE_BEARER_TOKEN_FILE"),
    ],
)
def test_a_refusal_says_what_to_set(status: int, answer: str, hint: str) -> None:
    server = Server()
    server.answers = [(status, answer)]
    with server.run() as url, closing(RemoteWriter(Receiver(url=url))) as writer:
        writer.write(a_chunk(1_772_000_000))
        with pytest.raises(SourceError) as raised:
            writer.finish()

    assert hint in raised.value.hint


def test_an_interrupted_run_is_resumed(events: list[Event], tmp_path: Path) -> None:
    """The server refuses midway; the second run sends what is missing, and nothing that was confirmed."""
    settings, state = Settings(step=10, analyzers=False), tmp_path / "state.json"
    server = Server()

    def run(*, resume: bool) -> None:
        kept = Resume(state, "same", resume=resume)
        with closing(RemoteWriter(Receiver(url=url), written=kept.written, samples_per_request=10**9)) as writer:
            write_samples(settings, arrivals_of(events), writer, after=kept.until)

    with server.run() as url:
        whole = len(list(Simulation(settings).run(arrivals_of(events))))
        server.answers = [(204, ""), (400, "no")]
        with pytest.raises(SourceError):
            run(resume=False)
        assert len(server.bodies) == 1
        run(resume=True)

    assert whole >= 2
    assert len(server.bodies) == whole
    assert len(set(server.bodies)) == whole
