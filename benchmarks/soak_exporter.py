"""A soak: events for minutes, three replicas, one of them killed hard every half minute; counts exact at the end.

    python benchmarks/soak_exporter.py [--minutes 20] [--kill-every 30] [--rate 2000]

Exit code 0 if every figure is exact, 1 if not.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench_exporter import Stack, traffic
from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.demo.processes import free_port

REPLICAS = 3


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


class Replica:
    """One exporter as a process, started again whenever it is killed."""

    def __init__(self, stack: Stack, logs: Path) -> None:
        self._port = free_port()
        self._command = [sys.executable, "-m", "jelmon", "exporter", "--web.listen-address", str(self._port)]
        self._command += ["--nats.url", stack.nats_url, "--redis.url", stack.redis_url]
        self._log = (logs / f"{self._port}.log").open("ab")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=self._log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def scrape(self) -> dict[str, float]:
        """Sums of the metrics that we compare; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as response:
                text = response.read().decode()
        except (OSError, urllib.error.URLError):
            return {}
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("jelmore_") and not sample.name.endswith("_bucket"):
                    sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums


def expected_of(cards: int) -> dict[str, float]:
    """The figures after so many whole cards of the traffic, worked out from one of them."""
    one = list(traffic(1))
    runs = sum(isinstance(event, e.StageFinished) for event in one)
    return {
        c.CARDS_QUEUED.name: cards,
        c.CARDS_STARTED.name: cards,
        c.CARDS_FINISHED.name: cards,
        c.CARDS_IN_PROGRESS.name: 0,
        c.STAGE_RUNS_STARTED.name: cards * runs,
        c.STAGE_RUNS_FINISHED.name: cards * runs,
        f"{c.STAGE_RUN_TIME.name}_count": cards * runs,
        f"{c.STAGE_RUN_TIME.name}_sum": cards * runs * 7.0,
        f"{c.CARD_PROCESSING.name}_sum": cards * 99.0,
        c.EVENTS_APPLIED.name: cards * len(one),
        c.EVENTS_DUPLICATE.name: 0,
        c.EVENTS_LOST.name: 0,
        c.EVENTS_LATE.name: 0,
    }


async def soak(minutes: float, kill_every: float, rate: int) -> int:
    with Stack() as stack, tempfile.TemporaryDirectory() as logs:
        replicas = [Replica(stack, Path(logs)) for _ in range(REPLICAS)]
        per_card, ends, cards, kills = len(list(traffic(1))), time.monotonic() + 60 * minutes, 0, 0
        falls: list[str] = []
        last: dict[str, float] = {}
        next_kill = time.monotonic() + kill_every
        try:
            async with Publisher(stack.nats_url) as publisher:
                await publisher.ensure_stream()
                while time.monotonic() < ends:
                    started = time.monotonic()
                    block = max(1, rate // per_card)
                    await publisher.publish_many(traffic(block, first=cards, in_flight=200))
                    cards += block
                    if time.monotonic() > next_kill:
                        next_kill += kill_every
                        victim = random.choice(replicas)
                        victim.kill()
                        victim.start()
                        kills += 1
                        say(f"kill {kills}; {cards * per_card} events sent")
                    found = await asyncio.to_thread(replicas[cards % REPLICAS].scrape)
                    for name in (c.CARDS_FINISHED.name, c.EVENTS_APPLIED.name):
                        if name in found and found[name] < last.get(name, 0) * 0.5:
                            falls.append(f"{name} fell from {last[name]:g} to {found[name]:g}")
                        if name in found:
                            last[name] = max(found[name], last.get(name, 0))
                    await asyncio.sleep(max(0.0, started + 1 - time.monotonic()))
            say(f"{cards * per_card} events sent, {kills} kills; waiting for the figures")
            return _judge(replicas, expected_of(cards), falls)
        finally:
            for replica in replicas:
                replica.kill()


def _judge(replicas: list[Replica], expected: dict[str, float], falls: list[str]) -> int:
    deadline = time.monotonic() + 120
    wrong: list[str] = ["nothing was scraped"]
    while wrong and time.monotonic() < deadline:
        wrong = list(falls)
        for number, replica in enumerate(replicas):
            found = replica.scrape()
            wrong += [
                f"replica {number}: {name} is {found.get(name)}, not {value}"
                for name, value in expected.items()
                if abs(found.get(name, -1.0) - value) > 1e-6
            ]
        time.sleep(0.5)
    for line in wrong:
        say(line)
    say("counts are not exact" if wrong else f"exact on all {len(replicas)} replicas: {len(expected)} figures")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--kill-every", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--rate", type=int, default=2000, help="events per second")
    args = parser.parse_args()
    return asyncio.run(soak(args.minutes, args.kill_every, args.rate))


if __name__ == "__main__":
    sys.exit(main())
