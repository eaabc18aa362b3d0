"""A soak: bursts of alerts, responders killed and stopped, refused mail, a NATS that hangs; counts exact at the end.

    python benchmarks/soak_responder.py [--database sqlite|postgresql] [--minutes 20] [--alerts 10000] [--kill-every 20]

This program is Alertmanager (it sends each webhook until it is accepted, and repeats some), the mail server and the
pipeline. PostgreSQL has two responders, SQLite one. Exit code 0 if every figure is exact, 1 if not.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import nats
import psycopg
from aiosmtpd.controller import Controller
from nats.aio.client import Client
from nats.aio.msg import Msg

from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes, free_port, pause
from jelmon.events import ActionRequested, parse
from jelmon.nats import streams
from jelmon_responder.history.open import open_history
from jelmon_responder.mail.mailer import MAX_CLAIM

PASSWORD = "soak"
CHUNK = 500  # alerts in a webhook
EVERY_ACTION, EVERY_CRITICAL, EVERY_POISON = 100, 1000, 5000  # one alert in so many
ACCEPT_SECONDS = 300.0
SETTLE_SECONDS = 480.0
WAITING = "SELECT count(*) FROM jelmore.notice WHERE urgent = true AND letter IS NULL"


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


class MailServer:
    """Accept mail; refuse poisoned messages permanently, and occasionally everything temporarily."""

    def __init__(self) -> None:
        self.subjects: Counter[str] = Counter()
        self.busy = False

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        if self.busy:
            return "451 try again later"
        message = message_from_bytes(envelope.original_content, policy=policy.default)
        if "poison" in message.get_content():
            return "554 looks like spam"
        self.subjects[str(message["Subject"])] += 1
        return "250 accepted"


class Responder:
    """One responder as a process, started again whenever it is killed."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "jelmon", "responder", *arguments]
        self._command += ["--web.listen-address", f"127.0.0.1:{self.port}"]
        self.stopped = False
        self._log = (folder / f"responder-{self.port}.log").open("ab")
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stderr=self._log)

    async def kill(self) -> None:
        """Kill hard and start again."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self.start()

    async def pause(self, seconds: float) -> None:
        """Stop the process for a while."""
        self.stopped = True
        pause(self.process)
        await asyncio.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(1)
        self.stopped = False


class Soak:
    """What was sent, what has arrived, and the disturbances."""

    def __init__(self, responders: list[Responder], mail: MailServer, nats_process: subprocess.Popen[bytes]) -> None:
        self.responders = responders
        self.mail = mail
        self.nats_process = nats_process
        self.requests: Counter[str] = Counter()
        self.sent: dict[str, bool] = {}  # fingerprint -> resolved
        self.actions = self.criticals = self.poisoned = 0
        self.retries = self.kills = self.pauses = self.webhooks = 0
        self.slowest_health = 0.0
        login = b64encode(f"soak:{PASSWORD}".encode()).decode()
        self.headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}

    async def on_request(self, message: Msg) -> None:
        """Count one request as the pipeline does."""
        event = parse(message.data)
        assert isinstance(event, ActionRequested)
        self.requests[event.subject] += 1

    def burst(self, count: int, starts: datetime) -> Iterator[dict[str, Any]]:
        """Yield new alerts that fire."""
        for _ in range(count):
            number = len(self.sent)
            labels = {"alertname": f"Soak{number % 50}", "severity": "info", "pipeline": f"p{number % 20}"}
            annotations = {"summary": f"alert {number}"}
            if number % EVERY_ACTION == 0:
                annotations["auto_actions"] = "restart_pipeline"
                self.actions += 1
            if number % EVERY_CRITICAL == 0:
                labels |= {"severity": "critical", "alertname": f"Critical{number}"}
                self.criticals += 1
                if number % EVERY_POISON == 0:
                    annotations["summary"] = "poison"
                    self.poisoned += 1
            self.sent[f"{number:016x}"] = False
            yield _wire(f"{number:016x}", labels, annotations, starts)

    async def send(self, session: aiohttp.ClientSession, alerts: list[dict[str, Any]]) -> None:
        """Send a webhook to any responder until one accepts it; one in four is sent twice."""
        body = json.dumps({"version": "4", "receiver": "soak", "alerts": alerts}).encode()
        for _ in range(random.choice((1, 1, 1, 2))):
            deadline = time.monotonic() + ACCEPT_SECONDS
            while True:
                try:
                    url = f"{random.choice(self.responders).url}/api/v1/alerts/webhook"
                    async with session.post(url, data=body, timeout=aiohttp.ClientTimeout(total=30)) as response:
                        if response.status == 200:
                            break
                        if response.status != 503:
                            raise SystemExit(f"status {response.status}: {await response.text()}")
                except (aiohttp.ClientError, TimeoutError):
                    pass
                if time.monotonic() > deadline:
                    raise SystemExit(f"no responder accepted a webhook for {ACCEPT_SECONDS:.0f} s")
                self.retries += 1
                await asyncio.sleep(0.5)
            self.webhooks += 1

    async def minute(self, session: aiohttp.ClientSession, count: int) -> None:
        """Send one burst, then resolve half of it."""
        starts = datetime.now(UTC)
        alerts = list(self.burst(count, starts))
        chunks = [alerts[begin : begin + CHUNK] for begin in range(0, len(alerts), CHUNK)]
        await asyncio.gather(*(self.send(session, chunk) for chunk in chunks))
        for chunk in chunks[::2]:
            for alert in chunk:
                alert |= {"status": "resolved", "endsAt": (starts + timedelta(seconds=5)).isoformat()}
                self.sent[alert["fingerprint"]] = True
            await self.send(session, chunk)

    async def disturb(self, every: float) -> None:
        """Kill, stop and hang, in turn."""
        while True:
            await asyncio.sleep(every * random.uniform(0.5, 1.5))
            responder = random.choice(self.responders)
            match random.choice(("kill", "kill", "pause", "mail", "nats")):
                case "kill":
                    self.kills += 1
                    await responder.kill()
                case "pause":
                    self.pauses += 1
                    await responder.pause(5)
                case "mail":
                    self.mail.busy = True
                    await asyncio.sleep(10)
                    self.mail.busy = False
                case "nats":
                    self.pauses += 1
                    pause(self.nats_process)
                    await asyncio.sleep(8)
                    self.nats_process.send_signal(signal.SIGCONT)

    def memory(self) -> int:
        """Return the resident memory of the largest responder in MB."""
        pages = [Path(f"/proc/{one.process.pid}/statm").read_text().split()[1] for one in self.responders]
        return max(map(int, pages)) * os.sysconf("SC_PAGE_SIZE") // 2**20

    async def watch_health(self, session: aiohttp.ClientSession) -> None:
        """Note how long a responder takes to answer while it runs."""
        while True:
            await asyncio.sleep(0.5)
            for responder in self.responders:
                began = time.monotonic()
                try:
                    async with session.get(
                        f"{responder.url}/-/healthy", timeout=aiohttp.ClientTimeout(total=30)
                    ) as response:
                        await response.read()
                except (aiohttp.ClientError, TimeoutError):
                    continue
                if responder.stopped:
                    continue
                self.slowest_health = max(self.slowest_health, time.monotonic() - began)


def _wire(fingerprint: str, labels: dict[str, str], annotations: dict[str, str], starts: datetime) -> dict[str, Any]:
    return {
        "status": "firing",
        "fingerprint": fingerprint,
        "labels": labels,
        "annotations": annotations,
        "startsAt": starts.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
    }


def _count(url: str, sql: str) -> int:
    """Return one number from the database."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite://")) as file:
            return int(file.execute(sql.replace("jelmore.", "")).fetchone()[0])
    with psycopg.connect(url) as connection:
        row = connection.execute(sql).fetchone()
        assert row is not None
        return int(row[0])


async def _ignore(_: Exception) -> None:
    """NATS is not up yet, or paused."""


def report(exactly: dict[str, tuple[int, int]], within: dict[str, tuple[int, int, int]]) -> bool:
    """Print each figure beside what was expected; return whether all are as expected.

    ``exactly``: name -> expected, counted. ``within``: name -> least, counted, most.
    """
    good = True
    for name, (expected, counted) in exactly.items():
        good &= expected == counted
        say(f"{'ok   ' if expected == counted else 'WRONG'} {name}: {counted} (expected {expected})")
    for name, (least, counted, most) in within.items():
        good &= least <= counted <= most
        say(f"{'ok   ' if least <= counted <= most else 'WRONG'} {name}: {counted} (from {least} to {most})")
    return good


async def judge(soak: Soak, url: str, client: Client) -> bool:
    """Compare the history, the requests and the mail with what was sent."""
    history = open_history(url)
    await history.start()
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        if not await history.actions(pending=True) and not _count(url, WAITING):
            break
        await asyncio.sleep(2)
    actions = await history.actions(pending=False, limit=10**6)
    refused = await history.refused_emails(limit=10**6)
    firing = sum((await history.firing()).values())
    await history.stop()
    await client.flush()
    stored = await client.jetstream().stream_info("JELMORE", subjects_filter="jelmore.events.action.>")
    events = sum((stored.state.subjects or {}).values())
    outcomes = Counter(str(action.outcome) for action in actions)
    confirmed = {action.id for action in actions if action.outcome == "success"}
    unknown = {action.id for action in actions if action.outcome == "error"}
    in_flight = _count(url, "SELECT count(*) FROM jelmore.letter WHERE outcome IS NULL")
    set_aside = sum(len(one.notifications) == 1 and "[FIRING]" in one.notifications[0].subject for one in refused)
    delivered = sum("[FIRING] Critical" in subject for subject in soak.mail.subjects)
    resolved = sum(soak.sent.values())
    table = "SELECT count(*) FROM jelmore.alert_history"
    exactly = {
        "alerts in the history": (len(soak.sent), _count(url, table)),
        "resolved alerts": (resolved, _count(url, f"{table} WHERE status = 'resolved'")),
        "firing alerts": (len(soak.sent) - resolved, firing),
        "actions in the log": (soak.actions, len(actions)),
        "actions without an outcome": (0, outcomes["None"]),
        "confirmed requests that arrived": (len(confirmed), len(confirmed & set(soak.requests))),
        "requests that arrived twice": (0, sum(count > 1 for count in soak.requests.values())),
        "requests that the log does not know": (0, len(set(soak.requests) - confirmed - unknown)),
        "urgent notifications that wait": (0, _count(url, WAITING)),
    }
    within = {  # a responder that is killed between two steps leaves one mail or one action whose outcome is unknown
        "unconfirmed requests": (0, len(unknown), soak.kills),
        "events of actions in the stream": (len(confirmed | unknown), events, soak.actions),
        "poisoned mails set aside": (soak.poisoned - in_flight, set_aside, soak.poisoned),
        "other critical mails delivered": (soak.criticals - soak.poisoned - in_flight, delivered, soak.criticals),
        "mails in flight when killed": (0, in_flight, MAX_CLAIM * soak.kills),
    }
    exact = report(exactly, within)
    say(f"outcomes of actions {dict(outcomes)}; {soak.kills} kills, {soak.pauses} pauses, {soak.retries} retries")
    say(f"{soak.webhooks} webhooks; slowest /-/healthy {soak.slowest_health:.2f} s; memory {soak.memory()} MB")
    return exact


async def run(options: argparse.Namespace, processes: Processes, folder: Path) -> bool:
    """Start everything, disturb it for the given time, and judge."""
    paths = servers.get(["nats-server", "postgres", "initdb"], say=lambda _: None)
    nats_port, url = free_port(), f"sqlite://{folder}/history.db"
    if options.database == "postgresql":
        url = launch.postgres(processes, paths["postgres"], paths["initdb"], folder / "postgres", port=free_port())
    store = ["--addr", "127.0.0.1", "--port", str(nats_port), "--jetstream", "--store_dir", str(folder / "nats")]
    nats_process = subprocess.Popen([paths["nats-server"], *store], stderr=subprocess.DEVNULL)
    mail = MailServer()
    controller = Controller(mail, hostname="127.0.0.1", port=free_port())
    controller.start()
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(f"basic_auth_users: {{soak: {stored}}}\n")
    nats_url = f"nats://127.0.0.1:{nats_port}"
    arguments = ["--history.url", url, "--nats.url", nats_url, "--web.config.file", str(folder / "web.yml")]
    arguments += ["--email.server", f"127.0.0.1:{controller.port}", "--email.security", "none"]
    arguments += ["--email.from", "a@example.org", "--email.to", "b@example.org", "--email.severities", "critical"]
    responders = [Responder(arguments, folder) for _ in range(2 if options.database == "postgresql" else 1)]
    soak = Soak(responders, mail, nats_process)
    client = await nats.connect(nats_url, max_reconnect_attempts=-1, error_cb=_ignore)
    try:
        await streams.ensure_stream(client.jetstream())
        await client.subscribe("jelmore.actions.>", cb=soak.on_request)
        async with aiohttp.ClientSession(headers=soak.headers) as session:
            beside = [asyncio.create_task(soak.disturb(options.kill_every))]
            beside.append(asyncio.create_task(soak.watch_health(session)))
            for number in range(options.minutes):
                began = time.monotonic()
                await soak.minute(session, options.alerts)
                say(f"minute {number + 1}: {options.alerts} alerts in {time.monotonic() - began:.1f} s")
                await asyncio.sleep(max(0.0, 60 - (time.monotonic() - began)))
            beside[0].cancel()
            for process in (nats_process, *(responder.process for responder in responders)):
                process.send_signal(signal.SIGCONT)
            mail.busy = False
            exact = await judge(soak, url, client)
            beside[1].cancel()
            return exact
    finally:
        await client.close()
        for process in (nats_process, *(responder.process for responder in responders)):
            process.kill()
            process.wait()
        controller.stop()


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--alerts", type=int, default=10_000, help="alerts a minute")
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds between disturbances, on average")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user if this one is root
        with Processes(folder / "logs") as processes:
            exact = asyncio.run(run(options, processes, folder))
        logs = [path.read_text(errors="replace") for path in folder.glob("*.log")]
        tracebacks = sum(text.count("Traceback") for text in logs)
        for text in logs:
            if "Traceback" in text:
                say(text[text.index("Traceback") :][:4000])
    say(f"{'ok   ' if not tracebacks else 'WRONG'} tracebacks in the logs: {tracebacks}")
    say("exact" if exact and not tracebacks else "NOT exact")
    return 0 if exact and not tracebacks else 1


if __name__ == "__main__":
    sys.exit(main())
