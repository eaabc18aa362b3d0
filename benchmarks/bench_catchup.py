"""How long the exporter needs after a downtime, beside an ordinary consumer over a part of the same stream.

An exporter counts a little and is killed hard. Then the stream fills as it would meanwhile: 3,000,000 events are ten
minutes at 5,000 a second. Measured is the time from starting the process anew (interpreter, imports, state from Redis,
16 consumers) until `/metrics` shows the last event. The ordinary consumer (nats-py's fetch, json, prometheus_client, an
acknowledgement each) takes only as many as --part says, for it is ten times slower.

    python benchmarks/bench_catchup.py [--events 3000000] [--part 60000] [--batch 1]

NATS, Redis and the exporter share this machine: where others are busy the seconds say little. So CPU seconds are
printed as well, and which share of the machine others took.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO

import psutil

from bench_exporter import STAGES, Stack, _steps, publish, run_child, say, traffic
from jelmon import catalogue as c
from jelmon.demo.processes import free_port

GOAL_SECONDS = 45.0
BEFORE = 200  # cards counted before the downtime
MOST_SECONDS = 600.0


class Exporter:
    """`jelmon exporter` in a process of its own."""

    def __init__(self, stack: Stack, log: IO[bytes]) -> None:
        self._port = free_port()
        command = [sys.executable, "-m", "jelmon", "exporter", "--web.listen-address", str(self._port)]
        command += ["--nats.url", stack.nats_url, "--redis.url", stack.redis_url]
        self.process = subprocess.Popen(command, stderr=log)

    def applied(self) -> int:
        """How many events `/metrics` shows as counted; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as response:
                lines = response.read().decode().splitlines()
        except OSError:
            return 0
        name = c.EVENTS_APPLIED.name + "{"
        return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def wait(self, count: int) -> None:
        """Until so many events are shown."""
        deadline = time.monotonic() + MOST_SECONDS
        while (found := self.applied()) != count:
            if found > count:
                raise SystemExit(f"{found} events counted, {found - count} too many")
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{found} of {count} events counted, and no more")
            time.sleep(0.25)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Machine:
    """What the processes that we started used of the machine, and what others did, who have nothing to do with us."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = psutil.cpu_times()
        self._used_before = self._used()

    @staticmethod
    def _used() -> float:
        """CPU seconds of what we started and what lives."""
        return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))

    def since(self) -> tuple[float, float]:
        """CPU seconds of what we started, and the share of the machine that others took."""
        used = self._used() - self._used_before
        idle = sum(getattr(psutil.cpu_times(), name) - getattr(self._before, name) for name in ("idle", "iowait"))
        whole = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        return used, max(0.0, (whole - idle - used) / whole)


def catch_up(events: int, part: int, batch: int) -> None:
    """Print the seconds of ours and of the ordinary consumer."""
    per_card = len(_steps(STAGES))
    cards = events // per_card
    with Stack() as stack, tempfile.NamedTemporaryFile() as log:
        asyncio.run(publish(stack.nats_url, traffic(BEFORE)))
        exporter = Exporter(stack, log.file)
        exporter.wait(BEFORE * per_card)
        exporter.kill()
        count, size = asyncio.run(publish(stack.nats_url, traffic(cards, first=BEFORE), batch=batch))
        say(f"{count} events of {size:.0f} bytes, up to {batch} a message, after {BEFORE * per_card} counted before")
        began, machine = time.monotonic(), Machine()
        exporter = Exporter(stack, log.file)
        try:
            exporter.wait(BEFORE * per_card + count)
            seconds, own = time.monotonic() - began, psutil.Process(exporter.process.pid)
            times, memory, (used, others) = own.cpu_times(), own.memory_info().rss, machine.since()
        finally:
            exporter.kill()
            sys.stderr.write(Path(log.name).read_text(encoding="utf-8") if exporter.process.returncode != -9 else "")
        cpu = times.user + times.system
        say(
            f"  ours{'':<22} {seconds:7.1f} s  {count / seconds:9.0f} events/s  {count / cpu:9.0f} per CPU-second  "
            f"{memory / 1e6:.0f} MB"
        )
        if part:
            ordinary = run_child("ordinary", stack.nats_url, "", min(part, count))
            taken, needed = min(part, count), ordinary["seconds"]
            say(
                f"  ordinary, {taken:>8} of them {needed:7.1f} s  {taken / needed:9.0f} events/s  "
                f"{taken / ordinary['cpu']:9.0f} per CPU-second; all would take {needed * count / taken:.0f} s"
            )
            say(f"  {count / seconds / (taken / needed):.1f} times as fast")
        goal = GOAL_SECONDS * count / 3_000_000
        say(
            f"  CPU: exporter {cpu:.1f} s, NATS and Redis {used - cpu:.1f} s; on free cores it takes the larger. "
            f"Others took {others:.0%} of this machine"
        )
        say(f"  goal {goal:.0f} s: {'reached' if seconds < goal else 'missed'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument(
        "--part", type=int, default=60_000, help="how many the ordinary consumer takes; 0: leave it out"
    )
    parser.add_argument("--batch", type=int, default=1, help="events a message, as producers send them under load")
    args = parser.parse_args()
    catch_up(args.events, args.part, args.batch)


if __name__ == "__main__":
    main()
