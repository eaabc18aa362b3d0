"""How long a scrape takes, beside prometheus_client's own server, with 10,000 series: at rest and under full ingest.

Both exporters are processes of their own that consume the same stream as fast as they can while they are scraped over
HTTP as Prometheus does, several times a second. Measured is the whole scrape as the scraper sees it. Under full ingest
an exporter has a core's work to do already: a scrape waits for its turn before it takes its time. The exporter's CPU
between question and answer is printed too: on a machine that is busy otherwise it says more.

    python benchmarks/bench_scrape.py [--events 600000] [--series 10000] [--seconds 5]
"""

import argparse
import asyncio
import gzip
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench_exporter import Stack, publish, say, traffic
from jelmon import catalogue as c
from jelmon.demo.processes import free_port
from jelmon.nats import connection
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import STREAM

GOAL_IDLE, GOAL_BUSY, GOAL_TIMES = 5.0, 50.0, 20.0  # milliseconds, and times as fast
PAUSE_SECONDS = 0.1
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
LINES_A_STAGE = 56
"""About how many lines a stage has at /metrics, most of them of its two histograms."""


def quantile(samples: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(samples, n=20)[-1]


class Measured(NamedTuple):
    """What a series of scrapes found."""

    times: list[float]  # milliseconds
    cpu: list[float]  # milliseconds of the exporter's own CPU between question and answer
    lines: int
    counted: int
    rate: float  # events a second meanwhile

    @property
    def p95(self) -> float:
        return quantile(self.times)

    def __str__(self) -> str:
        return (
            f"median {statistics.median(self.times):6.1f} ms, p95 {self.p95:6.1f}; CPU meanwhile "
            f"{statistics.median(self.cpu):5.1f} and {quantile(self.cpu):5.1f} ms  ({len(self.times)} scrapes, "
            f"{self.lines} lines, {self.rate / 1000:.1f}k events/s)"
        )


def stage_names(lines: int) -> tuple[str, ...]:
    return tuple(f"stage-{number:04d}" for number in range(lines // LINES_A_STAGE))


def busy_traffic(events: int, stages: tuple[str, ...]) -> Iterator[Any]:
    """First a card through every stage, so that all series exist; then cards through four stages each, all in turn."""
    yield from traffic(1, stages=stages)
    groups = len(stages) // 4
    cards = events // (14 * groups) or 1
    for group in range(groups):
        yield from traffic(cards, first=1 + group * cards, stages=stages[4 * group : 4 * group + 4])


# --- the other exporter, in a process of its own ---


async def ordinary(nats_url: str, port: int, lines: int) -> None:
    """nats-py's fetch, json, labels().observe(), acknowledgements; scraped from prometheus_client's thread."""
    from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

    registry = CollectorRegistry()
    counter = Counter("events", "Events.", ["type", "pipeline", "stage"], registry=registry)
    histogram = Histogram("run_seconds", "Runs.", ["pipeline", "stage"], buckets=c.WORK_BUCKETS, registry=registry)
    each = len(c.WORK_BUCKETS) + 4 + 2 * 3  # with the time of creation of each
    for number in range(lines // each):
        histogram.labels("main", f"stage-{number:04d}")
        for kind in ("queued", "started", "finished"):
            counter.labels(f"jelmore.stage.{kind}", "main", f"stage-{number:04d}")
    start_http_server(port, "127.0.0.1", registry=registry)
    client = await connection.connect(NatsSettings(url=nats_url), name="ordinary")
    subscription = await client.jetstream().pull_subscribe("jelmore.events.>", "ordinary", stream=STREAM)
    while True:
        try:
            messages = await subscription.fetch(500, timeout=1)
        except TimeoutError:
            continue
        for message in messages:
            event = json.loads(message.data)
            data = event["data"]
            stage = data.get("stage", "")
            counter.labels(event["type"], data["pipeline"], stage).inc()
            if event["type"].endswith("stage.finished"):
                histogram.labels(data["pipeline"], stage).observe(7.0)
            await message.ack()


# --- scraping ---


class Scraped:
    """An exporter in a process of its own, and one connection to it that is kept, as Prometheus keeps it."""

    def __init__(self, command: list[str], port: int, counted: str) -> None:
        self._port = port
        self._counted = counted
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 # closed on leaving, with the process
        environ = {**os.environ, "METRICS_LABEL_LIMIT": "100000"}
        self._process = subprocess.Popen([sys.executable, *command], env=environ, stderr=self._log)
        self._connect()

    def __enter__(self) -> "Scraped":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _connect(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def scrape(self) -> tuple[float, float, str]:
        """Milliseconds until the whole page is here, those of the exporter's CPU, and the page."""
        began, cpu = time.perf_counter(), self._cpu()
        self._connection.request("GET", "/metrics", headers=HEADERS)
        response = self._connection.getresponse()
        body = response.read()
        took, spent = 1000 * (time.perf_counter() - began), 1000 * (self._cpu() - cpu)
        if response.status != 200:
            raise SystemExit(f"answered {response.status}")
        page = gzip.decompress(body) if response.headers["Content-Encoding"] == "gzip" else body
        return took, spent, page.decode()

    def _cpu(self) -> float:
        """CPU seconds that the process has used: its clock, by the number that Linux gives it."""
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def counted(self, page: str) -> int:
        """How many events a page shows as counted."""
        lines = (line for line in page.splitlines() if line.startswith(self._counted + "{"))
        return sum(int(float(line.rpartition(" ")[2])) for line in lines)

    def wait(self, count: int, seconds: float = 300.0) -> None:
        """Until so many events are counted."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if self.counted(self.scrape()[2]) >= count:
                    return
            except (OSError, http.client.HTTPException):
                self._connect()
            time.sleep(0.2)
        self._log.seek(0)
        raise SystemExit(f"the exporter did not get there: {self._log.read().decode()[-2000:]}")

    def measure(self, seconds: float) -> Measured:
        """Scrape for a while."""
        times, cpu, pages, began = [], [], [], time.monotonic()
        while time.monotonic() < began + seconds:
            took, spent, page = self.scrape()
            times.append(took)
            cpu.append(spent)
            pages.append((time.monotonic(), self.counted(page)))
            time.sleep(PAUSE_SECONDS)
        (first_time, first), (last_time, last) = pages[0], pages[-1]
        lines = sum(not line.startswith("#") for line in page.splitlines())
        return Measured(times, cpu, lines, last, (last - first) / (last_time - first_time))


def bench(events: int, lines: int, seconds: float, batch: int) -> None:
    """Both exporters at rest, then both under full ingest."""
    stages = stage_names(lines)
    with Stack() as stack:
        port = free_port()
        ours = ["-m", "jelmon", "exporter", "--web.listen-address", str(port)]
        ours += ["--nats.url", stack.nats_url, "--redis.url", stack.redis_url]
        theirs = [__file__, "--ordinary", stack.nats_url, str(port), str(lines)]
        programs = {"ours": (ours, c.EVENTS_APPLIED.name), "prometheus_client": (theirs, "events_total")}
        once, _ = asyncio.run(publish(stack.nats_url, traffic(1, stages=stages)))
        idle, busy = {}, {}
        for name, (command, counted) in programs.items():
            with Scraped(command, port, counted) as exporter:
                exporter.wait(once)
                idle[name] = exporter.measure(seconds / 2)
                say(f"  {name:<18} at rest           {idle[name]}")
        more, _ = asyncio.run(publish(stack.nats_url, busy_traffic(events, stages), batch=batch))
        for name, (command, counted) in programs.items():
            if batch > 1 and name != "ours":
                return
            with Scraped(command, port, counted) as exporter:
                exporter.wait(once + 1 if name == "ours" else 1)
                busy[name] = exporter.measure(seconds)
                say(f"  {name:<18} under full ingest {busy[name]}")
                if busy[name].counted >= once + more:
                    raise SystemExit("the stream came to its end meanwhile: more --events")
    for state, found, goal in (("at rest", idle, GOAL_IDLE), ("under full ingest", busy, GOAL_BUSY)):
        reached = found["ours"].p95
        times = statistics.median(found["prometheus_client"].times) / statistics.median(found["ours"].times)
        good = reached <= goal and times >= GOAL_TIMES
        say(
            f"{state}: {reached:.1f} ms at p95 (goal {goal:g}), at the median {times:.0f} times as fast "
            f"(goal {GOAL_TIMES:g}): {'reached' if good else 'missed'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each is scraped under full ingest")
    parser.add_argument("--batch", type=int, default=1, help="events a message; more than 1 is for ours alone")
    parser.add_argument("--ordinary", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ordinary:
        nats_url, port, lines = args.ordinary
        asyncio.run(ordinary(nats_url, int(port), int(lines)))
        return
    bench(args.events, args.series, args.seconds, args.batch)


if __name__ == "__main__":
    main()
