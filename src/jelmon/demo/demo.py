"""Starts every service on this machine and feeds it a simulated pipeline."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.live import Live

from jelmon.bundle import rules_file
from jelmon.demo import launch, servers, status
from jelmon.demo.processes import Processes, listens
from jelmon.demo.proof import Addresses, Proof
from jelmon.demo.week import Week
from jelmon.errors import JelmonError, SourceError
from jelmon_analyzers.regression import signals

PIPELINE = "demo"
REFRESH_SECONDS = 1.0
PLAIN_STATUS_SECONDS = 15.0
# a demo is short: analyze the last minutes, many times a minute
ANALYZER_PACE = {
    "--bottleneck.window": "2m",
    "--bottleneck.interval": "5s",
    "--regression.interval": "5s",
    "--regression.lag": "5s",
    "--regression.young-step": "3s",
}
STALL_SECONDS = 90.0  # then it recovers, so that the alert is seen to resolve
NEEDED = ("nats-server", "prometheus", "alertmanager")
OPTIONAL = {
    ("redis-server",): "the exporter keeps its state on disk",
    ("postgres", "initdb"): "the responder keeps the alert history in SQLite, and there is no store",
}
"""Programs that the demo can do without, and what it does then."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """What to run. ``seconds`` is None to go on until Ctrl-C; ``stall_at`` is seconds after the start."""

    root: Path
    seconds: float | None = None
    stall_at: float = 100  # the slowdown before it is then long enough to stand out from noise
    keep: bool = False
    scrape_seconds: int = 5
    week: bool = True  # whether a week of simulated history is made in the background


class Interrupted(Exception):  # noqa: N818 (not an error: a request to stop)
    """SIGTERM or Ctrl-C."""


def run(settings: DemoSettings, console: Console) -> int:
    """Run the demo. Return 0 if the stall alert reached the alert history or the user ended the demo, else 1.

    Raises:
        SourceError: a server is missing or does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="jelmon-demo-"))
    folder.chmod(0o711)  # PostgreSQL run by root becomes another user and must pass through
    ports: list[int] = []
    proof: Proof | None = None
    interrupted, keep = False, settings.keep
    try:
        for number in _SIGNALS:
            signal.signal(number, _interrupt)
        with Processes(folder / "logs") as processes:
            try:
                addresses = _start(settings, processes, folder, ports, console.print)
                proof = Proof.of(addresses)
                with _week(settings, folder, addresses) as week:
                    watch(settings, processes, addresses, proof, console, week)
            finally:
                _ignore_signals()  # a second Ctrl-C must not leave half of it running
    except Interrupted:
        interrupted = True
    except JelmonError:
        keep = any((folder / "logs").iterdir())  # they say why
        raise
    finally:
        still = _open(ports)
        console.print(f"[red]ports still open: {still}[/red]" if still else "everything is stopped")
        if keep:
            console.print(f"data and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if proof is None:
        return 130
    _report(proof, console)
    return 0 if (proof.complete or interrupted) and not still else 1


def _week(settings: DemoSettings, folder: Path, addresses: Addresses) -> AbstractContextManager[Week | None]:
    program = servers.find("prometheus")
    if not settings.week or program is None:
        return contextlib.nullcontext()
    return Week(
        folder,
        prometheus=program,
        data=folder / "prometheus",
        rules=folder / "generated/deploy/prometheus/rules",
        exporter=addresses.exporter,
        analyzer=addresses.analyzer,
    )


def watch(
    settings: DemoSettings,
    processes: Processes,
    addresses: Addresses,
    proof: Proof,
    console: Console,
    week: Week | None = None,
) -> None:
    """Show the status until the time is up or Ctrl-C.

    Raises:
        SourceError: a process died.
    """
    started = time.monotonic()
    next_status = started
    live = Live(console=console, auto_refresh=False, screen=False) if console.is_terminal else None
    console.print(status.where_to_look(addresses))
    try:
        if live:
            live.start()
        while settings.seconds is None or time.monotonic() - started < settings.seconds:
            for child in processes.dead():
                raise SourceError(f"{child.name} died; its log ends:\n{child.tail()}")
            if week is not None and (news := week.poll()):
                console.print(news)
            for step in proof.advance():
                if live is None:
                    console.print(f"✔ {step.name}: {step.evidence} (after {time.monotonic() - started:.0f} s)")
            if live:
                live.update(
                    status.render(status.take_snapshot(addresses), proof, started, height=console.height), refresh=True
                )
            elif time.monotonic() >= next_status:
                next_status += PLAIN_STATUS_SECONDS
                console.print(_line(status.take_snapshot(addresses), started))
            time.sleep(REFRESH_SECONDS)
    finally:
        if live:
            live.stop()


def programs(say: Callable[[str], None]) -> dict[str, Path]:
    """Return the paths of the servers; say what the demo does without an optional one.

    Raises:
        SourceError: a required server is missing and cannot be fetched.
    """
    paths = servers.get(NEEDED, say)
    for names, without in OPTIONAL.items():
        try:
            paths |= servers.get(names, say)
        except SourceError as error:
            say(f"{error.message.splitlines()[0]}: {without}")
    return paths


def _start(
    settings: DemoSettings, processes: Processes, folder: Path, ports: list[int], say: Callable[[str], None]
) -> Addresses:
    paths = programs(say)

    def port(preferred: int) -> int:
        ports.append(processes.port(preferred))
        return ports[-1]

    optional = [
        name for program, name in (("redis-server", "Redis"), ("postgres", "PostgreSQL, store")) if program in paths
    ]
    say(f"starting {', '.join(['NATS', *optional])}, Prometheus, Alertmanager and the services of jelmon ...")
    nats = launch.nats(processes, paths["nats-server"], folder / "nats", port=port(14222))
    state = ["--state.path", str(folder / "exporter")]
    if "redis-server" in paths:
        state = ["--redis.url", launch.redis(processes, paths["redis-server"], folder / "redis", port=port(16379))]
    history = f"sqlite:///{folder / 'history.db'}"
    if "postgres" in paths:
        history = launch.postgres(processes, paths["postgres"], paths["initdb"], folder / "postgres", port=port(15432))
    store = None
    if "postgres" in paths:
        store = _service(processes, "store", port(9749), ["--database.url", history])
    exporter = _service(processes, "exporter", port(9746), ["--nats.url", nats, *state])
    responder_port = port(9748)
    webhook = f"responder=http://127.0.0.1:{responder_port}/api/v1/alerts/webhook"
    _jelmon(["generate", "--root", settings.root, "--output", folder / "generated", "--channel-url", webhook])
    alertmanager = launch.alertmanager(
        processes,
        paths["alertmanager"],
        folder / "alertmanager",
        folder / "generated/alertmanager/alertmanager.yml",
        port=port(9093),
    )
    responder = _service(
        processes,
        "responder",
        responder_port,
        [
            *("--history.url", history, "--alertmanager.url", alertmanager, "--actions.allowed", ""),
            *("--rules.file", str(folder / "generated" / rules_file.PATH)),
        ],
    )
    prometheus_port, analyzer_port = port(9090), port(9747)
    analyzer = f"http://127.0.0.1:{analyzer_port}"
    config = _prometheus_config(settings, folder, exporter, analyzer, responder, alertmanager, prometheus_port, store)
    prometheus = launch.prometheus(processes, paths["prometheus"], folder / "prometheus", config, port=prometheus_port)
    reader = _reader(processes, paths["prometheus"], folder, store, port(9091)) if store else None
    _service(
        processes,
        "analyzer",
        analyzer_port,
        ["all", "--nats.url", nats, "--prometheus.url", prometheus, "--regression.signals", _signals(folder)]
        + [word for setting in ANALYZER_PACE.items() for word in setting],
    )
    board = _service(
        processes,
        "board",
        port(9750),
        [
            *("--exporter.url", exporter, "--analyzer.url", analyzer, "--responder.url", responder),
            *("--prometheus.url", prometheus, "--alertmanager.url", alertmanager, "--enable-actions"),
        ],
    )
    trouble = ["--slow-at", f"{settings.stall_at * 0.6:g}", "--stall-at", f"{settings.stall_at:g}"]
    trouble += ["--stall-seconds", f"{STALL_SECONDS:g}"]
    processes.start("simulate", [sys.executable, "-m", "jelmon", "simulate", *trouble, "--nats.url", nats])
    return Addresses(
        exporter=exporter,
        analyzer=analyzer,
        responder=responder,
        prometheus=prometheus,
        alertmanager=alertmanager,
        board=board,
        nats=nats,
        history=history,
        pipeline=PIPELINE,
        reader=reader,
    )


def _service(processes: Processes, name: str, port: int, arguments: list[str]) -> str:
    url = f"http://127.0.0.1:{port}"
    child = processes.start(
        name, [sys.executable, "-m", "jelmon", name, "--web.listen-address", f"127.0.0.1:{port}", *arguments]
    )
    processes.wait_until(name, lambda: launch.answers(f"{url}/-/ready"), seconds=launch.START_SECONDS, child=child)
    return url


def _jelmon(arguments: list[Any]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "jelmon", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise SourceError(f"jelmon {arguments[0]} failed:\n{result.stderr.strip() or result.stdout.strip()}")


def _prometheus_config(
    settings: DemoSettings,
    folder: Path,
    exporter: str,
    analyzer: str,
    responder: str,
    alertmanager: str,
    prometheus_port: int,
    store: str | None,
) -> Path:
    """Write the shipped configuration with the demo's ports and shorter intervals; return its path."""
    config = yaml.safe_load((settings.root / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    targets = {
        "jelmon-exporter": exporter,
        "jelmon-analyzer": analyzer,
        "jelmon-responder": responder,
        "alertmanager": alertmanager,
        "prometheus": f"http://127.0.0.1:{prometheus_port}",
    }
    config["global"] = {f"{kind}_interval": f"{settings.scrape_seconds}s" for kind in ("scrape", "evaluation")}
    config["rule_files"] = [str(folder / "generated/deploy/prometheus/rules/*.yml")]
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [_host(alertmanager)]}]
    if store is not None:
        targets["jelmon-store"] = store
        config["scrape_configs"].append({"job_name": "jelmon-store"})
        config["remote_write"] = [
            {"url": f"{store}/api/v1/write", "queue_config": {"batch_send_deadline": "1s"}, "send_exemplars": True}
        ]
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in targets]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [_host(targets[job["job_name"]])]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _reader(processes: Processes, program: Path, folder: Path, store: str, port: int) -> str:
    """Start a Prometheus that has no data and reads from the store; return its URL."""
    path = folder / "reader.yml"
    path.write_text(
        yaml.safe_dump({"remote_read": [{"url": f"{store}/api/v1/read", "read_recent": True}]}), encoding="utf-8"
    )
    return launch.prometheus(processes, program, folder / "reader", path, port=port, name="prometheus-reader")


def _signals(folder: Path) -> str:
    """Write the regression analyzer's default signals, with ranges of 20 seconds instead of five minutes."""
    content = {
        signal.name: {"expr": signal.expr.replace(f"[{signals.RANGE}]", "[20s]"), "worse": signal.worse}
        for signal in signals.DEFAULTS
    }
    path = folder / "signals.yaml"
    path.write_text(yaml.safe_dump({"signals": content}), encoding="utf-8")
    return str(path)


def _host(url: str) -> str:
    return url.split("//", 1)[1]


def _line(snapshot: status.Snapshot, started: float) -> str:
    number = status.number
    alerts = ", ".join(f"{alert.name} {alert.labels}".strip() for alert in snapshot.alerts if alert.state == "firing")
    return (
        f"{time.monotonic() - started:4.0f} s  {number(snapshot.cards_per_hour)} cards/h, "
        f"in progress {number(snapshot.in_progress)}, queued {number(snapshot.waiting)}, "
        f"last activity {number(snapshot.idle_seconds, '.0f', ' s ago')}, firing: {alerts or 'none'}"
        + "".join(f"\n       {verdict}" for verdict in snapshot.verdicts)
    )


def _report(proof: Proof, console: Console) -> None:
    console.print("\nThe path of the stall alert:")
    for step in proof.steps:
        if step.seen_at is None:
            console.print(f"  ✘ {step.name}: not seen", style="red")
        else:
            seconds = step.seen_at - proof.started
            console.print(f"  ✔ {step.name}: {step.evidence} (after {seconds:.0f} s)", style="green")
    if proof.complete:
        console.print("The alert reached the alert history.", style="bold green")


def _open(ports: list[int]) -> list[int]:
    return [port for port in ports if listens(port)]


def _interrupt(*_: object) -> None:
    _ignore_signals()
    raise Interrupted


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
