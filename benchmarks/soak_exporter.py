"""A soak: events for minutes, three replicas, and a fault every half minute; counts exact at the end.

    python benchmarks/soak_exporter.py [--minutes 20] [--fault-every 30] [--rate 2000]

Faults, in turn: a replica is killed, or frozen for longer than its leases last; Redis and NATS are killed and started
again; Redis loses its data, NATS its store (both once everything sent is counted). One replica reaches both servers
through a proxy that delays and at times stalls; the clock of another steps by days. Exit code 0 if every figure is
exact, 1 if not.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench_exporter import traffic
from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes, free_port
from jelmon.errors import SourceError

REPLICAS = 3


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


class Servers:
    """A NATS and a Redis that can be killed, with or without what they stored."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._programs = servers.get(["nats-server", "redis-server"], say=lambda _: None)
        self.ports = {"nats-server": free_port(), "redis-server": free_port()}
        for name in self.ports:
            self._start(name)

    def _start(self, name: str) -> None:
        start = launch.nats if name == "nats-server" else launch.redis
        start(self._processes, self._programs[name], self._folder / name, port=self.ports[name])

    def restart(self, name: str, *, empty: bool = False) -> None:
        self._processes.signal(name, signal.SIGKILL)
        while any(child.name == name and child.alive() for child in self._processes._children):
            time.sleep(0.05)
        if empty:
            shutil.rmtree(self._folder / name)
        self._start(name)


class SlowProxy:
    """Passes bytes on after 20 ms, and stalls for two seconds now and then."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            behind = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._copy(reader, behind[1]), self._copy(behind[0], writer))
        writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(2.0 if random.random() < 0.001 else 0.02)
                writer.write(data)
                await writer.drain()
        writer.close()


STEPPING = """
import sys, time
from pathlib import Path
real, offset = time.time, Path(sys.argv.pop(1))
time.time = lambda: real() + float(offset.read_text() or 0)
from jelmon.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Starts the command with a clock that is ahead by what a file says."""


class Replica:
    """One exporter as a process, started again whenever it is killed."""

    def __init__(self, nats_port: int, redis_port: int, logs: Path) -> None:
        self._port = free_port()
        self._offset = logs / f"{self._port}.offset"
        self.step(0.0)
        self._command = [sys.executable, "-c", STEPPING, str(self._offset), "exporter"]
        self._command += ["--web.listen-address", str(self._port), "--nats.url", f"nats://127.0.0.1:{nats_port}"]
        self._command += ["--redis.url", f"redis://127.0.0.1:{redis_port}/0"]
        self.log = logs / f"{self._port}.log"
        self.start()

    def step(self, seconds: float) -> None:
        """Set how far its clock is ahead."""
        self._offset.write_text(str(seconds))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

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
        c.EVENTS_LOST.name: 0,
        c.EVENTS_LATE.name: 0,
    }


class Soak:
    """The servers, the replicas, what was sent, and the faults."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._servers = Servers(processes, folder)
        self._folder = folder
        self.cards = 0
        self.falls: list[str] = []
        self.replicas: list[Replica] = []
        self._faults = 0

    async def start(self) -> None:
        ports = self._servers.ports
        slow = {name: SlowProxy(port) for name, port in ports.items()}
        for proxy in slow.values():
            await proxy.start()
        for proxied in (False, False, True):
            nats_port, redis_port = (
                slow[name].port if proxied else ports[name] for name in ("nats-server", "redis-server")
            )
            self.replicas.append(Replica(nats_port, redis_port, self._folder))

    @property
    def nats_url(self) -> str:
        return f"nats://127.0.0.1:{self._servers.ports['nats-server']}"

    async def fault(self) -> None:
        """Provoke the next fault."""
        faults = (
            self._kill, self._freeze, self._restart_redis, self._step, self._restart_nats, self._empty_redis,
            self._empty_nats,
        )  # fmt: skip
        fault = faults[self._faults % len(faults)]
        self._faults += 1
        say(f"fault {self._faults}, {fault.__name__.strip('_')}; {self.cards} cards sent")
        await fault()

    async def _kill(self) -> None:
        victim = random.choice(self.replicas)
        victim.kill()
        victim.start()

    async def _freeze(self) -> None:
        victim = random.choice(self.replicas)
        victim.signal(signal.SIGSTOP)
        await asyncio.sleep(9.0)
        victim.signal(signal.SIGCONT)

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self._servers.restart, "redis-server")

    async def _restart_nats(self) -> None:
        await asyncio.to_thread(self._servers.restart, "nats-server")

    async def _step(self) -> None:
        for ahead in (8 * 86400.0, -8 * 86400.0, 0.0):
            self.replicas[0].step(ahead)
            await asyncio.sleep(3.0)

    async def _empty_redis(self) -> None:
        await self._counted()
        await asyncio.to_thread(self._servers.restart, "redis-server", empty=True)

    async def _empty_nats(self) -> None:
        await self._counted()
        await asyncio.to_thread(self._servers.restart, "nats-server", empty=True)

    async def _counted(self) -> None:
        """Wait until what was sent is counted: what a server loses before that, nobody can count."""
        expected = expected_of(self.cards)[c.EVENTS_APPLIED.name]
        async with asyncio.timeout(120):
            while (await asyncio.to_thread(self.replicas[1].scrape)).get(c.EVENTS_APPLIED.name) != expected:
                await asyncio.sleep(0.5)
        await asyncio.sleep(1.0)

    def check(self) -> None:
        """Note replicas that ended by themselves, and tracebacks in their logs."""
        for number, replica in enumerate(self.replicas):
            if replica.ended:
                self.falls.append(f"replica {number} ended by itself: {replica.log.read_text()[-500:]}")
                replica.start()
            if "Traceback" in replica.log.read_text():
                self.falls.append(f"replica {number} logged a traceback: {replica.log.read_text()[-2000:]}")


async def soak(minutes: float, fault_every: float, rate: int) -> int:
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder) / "logs") as processes:
        run = Soak(processes, Path(folder))
        await run.start()
        block, ends = max(1, rate // len(list(traffic(1)))), time.monotonic() + 60 * minutes
        next_fault = time.monotonic() + fault_every
        try:
            async with Publisher(run.nats_url, patience=60.0) as publisher:
                await publisher.ensure_stream()
                while time.monotonic() < ends:
                    started = time.monotonic()
                    await _publish(publisher, list(traffic(block, first=run.cards, in_flight=200)))
                    run.cards += block
                    if time.monotonic() > next_fault:
                        next_fault = time.monotonic() + fault_every
                        await run.fault()
                    await asyncio.sleep(max(0.0, started + 1 - time.monotonic()))
            say(f"{run.cards} cards sent; waiting for the figures")
            await asyncio.to_thread(_wait_for, run.replicas, expected_of(run.cards))
            run.check()
            return await asyncio.to_thread(_judge, run.replicas, expected_of(run.cards), run.falls)
        finally:
            for replica in run.replicas:
                replica.kill()


async def _publish(publisher: Publisher, events: list[e.Envelope]) -> None:
    """Store events, also in a NATS that has lost its stream."""
    async with asyncio.timeout(120):
        while True:
            try:
                await publisher.publish_many(events)
                return
            except SourceError as error:
                say(f"sending again: {error.message}")
                with contextlib.suppress(SourceError):
                    await publisher.ensure_stream()


def _wait_for(replicas: list[Replica], expected: dict[str, float]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if all(replica.scrape().get(c.EVENTS_APPLIED.name) == expected[c.EVENTS_APPLIED.name] for replica in replicas):
            return
        time.sleep(0.5)


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
    parser.add_argument("--fault-every", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--rate", type=int, default=2000, help="events per second")
    args = parser.parse_args()
    return asyncio.run(soak(args.minutes, args.fault_every, args.rate))


if __name__ == "__main__":
    sys.exit(main())
