"""Children of the stack: they get ports of their own, are watched, and never outlive us."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jelmon.demo import processes as module
from jelmon.demo.processes import Child, Processes, free_port, listens
from jelmon.errors import SourceError

DEADLINE_SECONDS = 30.0
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); print('left', flush=True)"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as children:
        yield children


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def started(processes: Processes, name: str, *command: str) -> Child:
    """A child that has printed a line."""
    child = processes.start(name, [sys.executable, "-c", *command])
    processes.wait_until(name, lambda: child.log.stat().st_size > 0, seconds=DEADLINE_SECONDS, child=child)
    return child


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def group_of(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):  # of anybody's processes one may end while we look
        return os.getpgid(pid)
    return None


def test_a_free_port_is_the_preferred_one() -> None:
    port = free_port()

    assert free_port(port) == port
    assert not listens(port)


def test_a_taken_port_is_passed_over(taken: int) -> None:
    other = free_port(taken)

    assert listens(taken)
    assert other != taken
    assert not listens(other)


def test_two_stacks_that_start_at_once_get_different_ports(tmp_path: Path) -> None:
    """Nobody listens yet on what the first was given; after its end the port is free again."""
    with Processes(tmp_path / "one") as one, Processes(tmp_path / "two") as two:
        port = one.port(free_port())
        others = {two.port(port), one.port(port)}

        assert port not in others
        assert len(others) == 2
    with Processes(tmp_path / "three") as three:
        assert three.port(port) == port


def test_a_child_logs_to_its_file_and_is_told_to_be_dead(processes: Processes) -> None:
    child = processes.start("short", [sys.executable, "-c", "print('a'); import sys; print('b', file=sys.stderr)"])
    processes.wait_until("end", lambda: not child.alive(), seconds=DEADLINE_SECONDS)

    assert processes.dead() == [child]
    assert sorted(child.tail().split()) == ["a", "b"]


def test_a_child_that_dies_early_is_an_error_with_the_end_of_its_log(processes: Processes) -> None:
    child = processes.start("broken", [sys.executable, "-c", "raise SystemExit('the disk is full')"])

    with pytest.raises(SourceError, match=r"broken stopped with exit code 1; its log ends:\n    the disk is full"):
        processes.wait_until("broken", lambda: False, seconds=DEADLINE_SECONDS, child=child)


def test_a_condition_that_never_comes_is_an_error(processes: Processes) -> None:
    with pytest.raises(SourceError, match="the moon took longer than 0 s"):
        processes.wait_until("the moon", lambda: False, seconds=0.1)


def test_a_child_that_ignores_sigterm_is_killed(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    child = started(processes, "deaf", DEAF)
    processes.stop()

    assert child.process.returncode == -signal.SIGKILL


def test_what_a_child_left_behind_is_killed(processes: Processes) -> None:
    """A grandchild that ignores SIGTERM goes too, though its parent ended long before."""
    child = processes.start("parent", [sys.executable, "-c", PARENT, DEAF])
    processes.wait_until("both", lambda: len(child.log.read_text().split()) == 2, seconds=DEADLINE_SECONDS)
    pids = [pid for pid in psutil.pids() if group_of(pid) == child.process.pid]
    processes.stop()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert pids
    assert [pid for pid in pids if not gone(pid)] == []


def test_an_exception_stops_the_children(tmp_path: Path) -> None:
    def fail() -> None:
        with Processes(tmp_path / "logs") as children:
            kept.append(started(children, "child", "import time; print(1, flush=True); time.sleep(600)"))
            raise ValueError("something else")

    kept: list[Child] = []
    with pytest.raises(ValueError, match="something else"):
        fail()

    assert kept[0].process.returncode == -signal.SIGTERM


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv (util-linux)")
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """kill -9 leaves no time to stop them."""
    script = (
        "import sys, time; from pathlib import Path; from jelmon.demo.processes import Processes\n"
        "child = Processes(Path(sys.argv[1])).start('sleeper', ['sleep', '600'])\n"
        "print(child.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        sleeper = psutil.Process(pid)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while sleeper.name() != "sleep" and time.monotonic() < deadline:  # setpriv becomes sleep
            time.sleep(0.01)
        parent.kill()

    psutil.wait_procs([sleeper], timeout=DEADLINE_SECONDS)

    assert gone(pid)


def test_a_paused_child_does_nothing_more(tmp_path: Path) -> None:
    """The signal is delivered later than `kill` returns; whoever pauses a server relies on silence from then on."""
    script = "import os\nwhile True: os.write(1, b'x')"
    with Processes(tmp_path) as processes:
        child = processes.start("writer", [sys.executable, "-c", script])
        for _ in range(20):
            processes.signal("writer", signal.SIGSTOP)
            written = child.log.stat().st_size
            time.sleep(0.02)
            assert child.log.stat().st_size == written
            processes.signal("writer", signal.SIGCONT)
