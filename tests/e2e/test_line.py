"""The whole line as a user runs it: an event goes in, a row of the alert history comes out, nothing stays behind."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from jelmon.demo.demo import NEEDED
from jelmon.demo.processes import listens

pytestmark = pytest.mark.quiet  # its deadlines are real, and its ports must be free afterwards
DEADLINE_SECONDS = 180.0
AWAITED = ("✔ row in the alert history", " limits the pipeline, severity ")
STEPS = (
    "event counted by the exporter",
    "metric shows no activity beyond the limit",
    "rule PipelineStalled fires in Prometheus",
    "alert is active in Alertmanager",
    "responder received the webhook",
    "row in the alert history",
)


@pytest.fixture(autouse=True)
def needed(tool: Callable[[str], Path]) -> None:
    """Without the servers that the demo needs its tests are skipped."""
    for name in NEEDED:
        tool(name)


def test_stall_alert_goes_the_whole_way_and_everything_stops(root: Path, tmp_path: Path) -> None:
    """`jelmon demo` with an early stall, ended by Ctrl-C once alert and verdict have arrived."""
    output = tmp_path / "output"
    with output.open("wb") as stream:
        demo = subprocess.Popen(
            [sys.executable, "-m", "jelmon", "demo", "--stall-at", "8", "--no-week"],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while any(sign not in output.read_text() for sign in AWAITED):
            assert demo.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.2)
        children = psutil.Process(demo.pid).children(recursive=True)
        (board,) = re.findall(r"^open (http://[0-9.:]+)/", output.read_text(), re.MULTILINE)
        while (health := _health(board))["status"] != "ok" and time.monotonic() < deadline:
            time.sleep(0.2)  # an analyzer may be late with one look on a busy machine
        lasting = [child for child in children if _lives(child)]  # PostgreSQL's workers come and go
        ports = sorted({port for child in lasting for port in _ports(child)})
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(30)
    text = output.read_text()

    assert code == 0, text
    assert [step for step in STEPS if f"  ✔ {step}" not in text] == []
    assert "The alert reached the alert history." in text
    assert {name: state["status"] for name, state in health["dependencies"].items()} == dict.fromkeys(
        ("alertmanager", "analyzers", "exporter", "prometheus", "responder"), "ok"
    )
    assert len(lasting) >= 10, lasting  # nine servers and services, and the simulation
    assert len(ports) >= 8, ports
    assert [child for child in children if _lives(child)] == []
    assert [port for port in ports if listens(port)] == []


def _health(board: str) -> dict[str, Any]:
    """The board answers with the state of what it reads: every service of the demo."""
    health: dict[str, Any] = requests.get(f"{board}/health", timeout=30).json()
    return health


def _ports(process: psutil.Process) -> set[int]:
    return {
        connection.laddr.port
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def temporary() -> Iterator[Path]:
    """What is left there by a demo that could not clean up; others must be able to pass through (see PostgreSQL)."""
    with tempfile.TemporaryDirectory(prefix="jelmon-killed-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_killed_demo_leaves_nothing_running(root: Path, tmp_path: Path, temporary: Path) -> None:
    """Even kill -9, which gives no chance to stop the children."""
    with (tmp_path / "output").open("wb") as stream:
        demo = subprocess.Popen(
            [sys.executable, "-m", "jelmon", "demo"],
            cwd=root,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    process = psutil.Process(demo.pid)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(children := process.children(recursive=True)) < 4:
        assert demo.poll() is None, (tmp_path / "output").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    demo.kill()
    demo.wait()
    _, alive = psutil.wait_procs(children, timeout=15)

    assert alive == []
