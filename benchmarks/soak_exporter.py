"""A soak: events for minutes, three replicas, and a fault every half minute; counts exact at the end.

    python benchmarks/soak_exporter.py [--minutes 20] [--fault-every 30] [--rate 2000] [--credentials password|file]
                                       [--faults NAME,NAME]

Faults, in turn: a replica is killed, or frozen for longer than its leases last; Redis and NATS are killed and started
again; Redis loses its data, NATS its store (both once everything sent is counted, and each partition has an owner: what
only a server has when it loses its store, nobody can count); the credentials of both are rotated, their files some
seconds before or after the servers. With ``--credentials file``, NATS takes credentials that expire every minute and
are renewed in time, and in the fault too late. One replica reaches both servers through a proxy that delays and at
times stalls; the clock of another steps by days. Exit code 0 if every figure is exact, 1 if not.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis
from prometheus_client.parser import text_string_to_metric_families

from bench_exporter import traffic
from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes, free_port, pause
from jelmon.errors import SourceError
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import PARTITIONS
from jelmon.service.tasks import end

sys.path.append(str(Path(__file__).parent.parent))
from tests.nats_accounts import Operator

LATE_SECONDS = 4.0
"""How long only one side has the new password."""
PATIENCE_SECONDS = 120.0
"""How long the replicas may take to count what was sent."""
LIFE_SECONDS = 60.0
"""How long a credential file is valid, if those are used."""


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


class Credentials:
    """The passwords that NATS and Redis want, and the files that exporters and producer read.

    If ``expiring``, NATS takes credential files instead, each of which is valid for a minute.
    """

    def __init__(self, folder: Path, *, expiring: bool) -> None:
        self._operator = Operator() if expiring else None
        self._folder = folder
        self.paused = False  # whether the credential file is not renewed
        self.nats_config = folder / "nats.conf"
        self.change()
        self.hand_out()
        self.renew()

    def change(self) -> None:
        """Choose another password for the servers."""
        self.password = secrets.token_hex(16)
        by_password = f"authorization {{ user: soak, password: {self.password} }}\n"
        self.nats_config.write_text(self._operator.config if self._operator else by_password)

    def hand_out(self) -> None:
        """Write the password into the file of the clients."""
        new = self._folder / "password.new"
        new.write_text(f"{self.password}\n")
        new.replace(self._folder / "password")

    def renew(self) -> None:
        """Write a credential file that is valid for another minute."""
        if self._operator is not None and not self.paused:
            self._operator.write_credentials(self._folder / "soak.creds", seconds=LIFE_SECONDS)

    @property
    def environ(self) -> dict[str, str]:
        """What the clients find in their environment."""
        password = str(self._folder / "password")
        if self._operator is not None:
            return {"REDIS_PASSWORD_FILE": password, "NATS_CREDENTIALS_FILE": str(self._folder / "soak.creds")}
        return {"REDIS_PASSWORD_FILE": password, "NATS_PASSWORD_FILE": password, "NATS_USER": "soak"}


class Servers:
    """A NATS and a Redis that can be killed, with or without what they stored, and get other passwords."""

    def __init__(self, processes: Processes, folder: Path, credentials: Credentials) -> None:
        self._processes = processes
        self._folder = folder
        self._credentials = credentials
        self._programs = servers.get(["nats-server", "redis-server"], say=lambda _: None)
        self.ports = {"nats-server": free_port(), "redis-server": free_port()}
        self._redis_password = ""
        for name in self.ports:
            self._start(name)

    def _start(self, name: str) -> None:
        program, folder, port = self._programs[name], self._folder / name, self.ports[name]
        if name == "nats-server":
            launch.nats(self._processes, program, folder, port=port, config=self._credentials.nats_config)
        else:
            launch.redis(self._processes, program, folder, port=port)
            self._redis_password = ""
            self._protect_redis()

    def _protect_redis(self) -> None:
        with redis.Redis(port=self.ports["redis-server"], password=self._redis_password or None) as client:
            while client.info("persistence")["loading"]:  # and accepts no change until it has read its file
                time.sleep(0.05)
            client.config_set("requirepass", self._credentials.password)
            client.client_kill_filter(_type="normal")
        self._redis_password = self._credentials.password

    def take_password(self) -> None:
        """Want the present password from now on, also from those who are connected."""
        self._processes.signal("nats-server", signal.SIGHUP)
        self._protect_redis()

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

    def __init__(self, nats_port: int, redis_port: int, logs: Path, environ: dict[str, str]) -> None:
        self._port = free_port()
        self._environ = {**os.environ, **environ}
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
            self._process = subprocess.Popen(self._command, stderr=log, env=self._environ)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        pause(self._process)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

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


def differences(replicas: list[Replica], expected: dict[str, float]) -> list[str]:
    """Return which figures are not as expected."""
    return [
        f"replica {number}: {name} is {found.get(name)}, not {value}"
        for number, found in enumerate(replica.scrape() for replica in replicas)
        for name, value in expected.items()
        if abs(found.get(name, -1.0) - value) > 1e-6
    ]


class Soak:
    """The servers, the replicas, what was sent, and the faults."""

    def __init__(self, processes: Processes, folder: Path, credentials: Credentials) -> None:
        self._credentials = credentials
        self._servers = Servers(processes, folder, credentials)
        self._folder = folder
        self.cards = 0
        self.falls: list[str] = []
        self.replicas: list[Replica] = []
        self.sending = asyncio.Lock()
        self.ending = asyncio.Event()
        self.faults: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "restart-redis": self._restart_redis,
            "step": self._step,
            "rotate": self._rotate,
            "restart-nats": self._restart_nats,
            "empty-redis": self._empty_redis,
            "empty-nats": self._empty_nats,
            "expire": self._expire,
        }

    async def start(self) -> None:
        ports = self._servers.ports
        slow = {name: SlowProxy(port) for name, port in ports.items()}
        for proxy in slow.values():
            await proxy.start()
        for proxied in (False, False, True):
            nats_port, redis_port = (
                slow[name].port if proxied else ports[name] for name in ("nats-server", "redis-server")
            )
            self.replicas.append(Replica(nats_port, redis_port, self._folder, self._credentials.environ))

    @property
    def nats_settings(self) -> NatsSettings:
        url = f"nats://127.0.0.1:{self._servers.ports['nats-server']}"
        return NatsSettings.from_environ(self._credentials.environ, url=url)

    async def disturb(self, names: list[str], every: float) -> None:
        """Provoke the faults in turn."""
        for number, name in enumerate(itertools.cycle(names)):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ending.wait(), every)
            if self.ending.is_set():
                return
            say(f"fault {number + 1}, {name}; {self.cards} cards sent")
            await self.faults[name]()

    async def renew_credentials(self) -> None:
        while True:
            await asyncio.sleep(LIFE_SECONDS / 2)
            self._credentials.renew()

    async def _kill(self) -> None:
        victim = random.choice(self.replicas)
        victim.kill()
        victim.start()

    async def _freeze(self) -> None:
        victim = random.choice(self.replicas)
        await asyncio.to_thread(victim.pause)
        await asyncio.sleep(9.0)
        victim.resume()

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self._servers.restart, "redis-server")

    async def _restart_nats(self) -> None:
        await asyncio.to_thread(self._servers.restart, "nats-server")

    async def _step(self) -> None:
        for ahead in (8 * 86400.0, -8 * 86400.0, 0.0):
            self.replicas[0].step(ahead)
            await asyncio.sleep(3.0)

    async def _rotate(self) -> None:
        self._credentials.change()
        late, early = self._credentials.hand_out, self._servers.take_password
        if random.random() < 0.5:
            late, early = early, late
        await asyncio.to_thread(early)
        await asyncio.sleep(LATE_SECONDS)
        await asyncio.to_thread(late)

    async def _expire(self) -> None:
        """Renew the credential file only some seconds after it has expired."""
        self._credentials.paused = True
        await asyncio.sleep(LIFE_SECONDS + LATE_SECONDS)
        self._credentials.paused = False
        self._credentials.renew()

    async def _empty_redis(self) -> None:
        async with self.sending:
            await self._counted()
            await asyncio.to_thread(self._servers.restart, "redis-server", empty=True)

    async def _empty_nats(self) -> None:
        async with self.sending:
            await self._counted()
            await asyncio.to_thread(self._servers.restart, "nats-server", empty=True)

    async def _counted(self) -> None:
        """Wait until what was sent is counted: what a server loses before that, nobody can count."""
        expected, deadline = expected_of(self.cards), time.monotonic() + PATIENCE_SECONDS
        while wrong := await asyncio.to_thread(differences, [self.replicas[1]], expected):
            if time.monotonic() > deadline:
                raise SystemExit("\n".join([f"not counted within {PATIENCE_SECONDS:.0f} s", *wrong]))
            await asyncio.sleep(0.5)
        owned = 0
        while owned < 5 and time.monotonic() < deadline:  # looked at five times in a row
            found = [await asyncio.to_thread(replica.scrape) for replica in self.replicas]
            total = sum(sums.get(c.PARTITION_OWNED.name, 0.0) for sums in found)
            owned = owned + 1 if total == PARTITIONS else 0
            await asyncio.sleep(0.5)

    def check(self) -> None:
        """Note replicas that ended by themselves, and tracebacks in their logs."""
        for number, replica in enumerate(self.replicas):
            if replica.ended:
                self.falls.append(f"replica {number} ended by itself: {replica.log.read_text()[-500:]}")
                replica.start()
            if "Traceback" in replica.log.read_text():
                self.falls.append(f"replica {number} logged a traceback: {replica.log.read_text()[-2000:]}")


async def soak(options: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    say(f"logs are in {folder}, and are deleted if all is exact")
    with Processes(folder / "logs") as processes:
        expiring = options.credentials == "file"
        run = Soak(processes, folder, Credentials(folder, expiring=expiring))
        faults = options.faults.split(",") if options.faults else [*run.faults][: None if expiring else -1]
        await run.start()
        try:
            async with Publisher(settings=run.nats_settings, patience=60.0) as publisher:
                await publisher.ensure_stream()
                renewing = asyncio.create_task(run.renew_credentials())
                await _send(run, publisher, faults, options)
                say(f"{run.cards} cards sent; waiting for the figures")
                run.check()
                code = await asyncio.to_thread(_judge, run.replicas, expected_of(run.cards), run.falls)
                await end(renewing)
        finally:
            for replica in run.replicas:
                replica.kill()
    if not code:
        shutil.rmtree(folder)
    return code


async def _send(run: Soak, publisher: Publisher, faults: list[str], options: argparse.Namespace) -> None:
    """Send blocks of cards for the given time, while faults happen."""
    block, ends = max(1, options.rate // len(list(traffic(1)))), time.monotonic() + 60 * options.minutes
    disturbing = asyncio.create_task(run.disturb(faults, options.fault_every))
    while time.monotonic() < ends:
        started = time.monotonic()
        async with run.sending:
            await _publish(publisher, list(traffic(block, first=run.cards, in_flight=200)))
            run.cards += block
        if disturbing.done():
            disturbing.result()
        await asyncio.sleep(max(0.01, started + 1 - time.monotonic()))
    run.ending.set()
    await disturbing


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


def _judge(replicas: list[Replica], expected: dict[str, float], falls: list[str]) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (wrong := differences(replicas, expected)) and time.monotonic() < deadline:
        time.sleep(0.5)
    for line in wrong + falls:
        say(line)
    exact = not wrong and not falls
    say(f"exact on all {len(replicas)} replicas: {len(expected)} figures" if exact else "counts are not exact")
    return int(not exact)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--fault-every", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--rate", type=int, default=2000, help="events per second")
    parser.add_argument("--credentials", choices=("password", "file"), default="password")
    parser.add_argument("--faults", help="only these, for example empty-redis,empty-nats")
    return asyncio.run(soak(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
