"""Child processes that never outlive their parent: started quietly, monitored, and stopped in reverse order."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from jelmon.errors import SourceError

STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class Child:
    """One running process and where it logs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self.process.poll() is None

    def tail(self) -> str:
        """Return the last lines of its log, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:]) or "    (it logged nothing)"


class Processes:
    """The children of one demo. A context manager: leaving it stops them all, whatever happened."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._ports: dict[int, socket.socket] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
        folder: Path | None = None,
    ) -> Child:
        """Start a child in its own session, so that Ctrl-C in the terminal reaches only the parent."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*_dies_with_us(), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
                cwd=folder,
                start_new_session=True,
                user=user,
                extra_groups=[] if user else None,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def port(self, preferred: int) -> int:
        """Reserve a free port for a child: the preferred one, else any.

        The reservation lasts until `stop`: a demo that starts at the same time gets another port.
        """
        for candidate in (preferred, *[0] * 100):
            port = free_port(candidate)
            if (mark := _mark(port)) is not None:
                self._ports[port] = mark
                return port
        raise SourceError("no free TCP port on 127.0.0.1")

    def wait_until(
        self, what: str, condition: Callable[[], bool], *, seconds: float, child: Child | None = None
    ) -> None:
        """Wait for a condition.

        Raises:
            SourceError: it is not true in time, or the child died.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if child is not None and not child.alive():
                raise SourceError(
                    f"{child.name} stopped with exit code {child.process.returncode}; its log ends:\n{child.tail()}",
                    hint=f"the full log is in {child.log}",
                )
            if time.monotonic() > deadline:
                raise SourceError(
                    f"{what} took longer than {seconds:.0f} s" + (f"; its log ends:\n{child.tail()}" if child else "")
                )
            time.sleep(POLL_SECONDS)

    def dead(self) -> list[Child]:
        """Return the children that stopped by themselves."""
        return [child for child in self._children if not child.alive()]

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a child, to provoke a failure; after SIGSTOP it does nothing more when this returns."""
        for child in self._children:
            if child.name == name and child.alive():
                os.killpg(child.process.pid, number)
                if number == signal.SIGSTOP:
                    wait_until_paused(child.process)

    def stop(self) -> None:
        """Stop every child, newest first: SIGTERM, then SIGKILL for those that ignore it."""
        for child in reversed(self._children):
            stop_child(child)
        self._children.clear()
        for mark in self._ports.values():
            mark.close()
        self._ports.clear()


def wait_until_paused(process: subprocess.Popen[Any]) -> None:
    """Wait until a child that got SIGSTOP has stopped in all its threads, which takes a moment, or is dead."""
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def pause(process: subprocess.Popen[Any]) -> None:
    """Stop a child with SIGSTOP and wait until it stands still; SIGCONT wakes it."""
    process.send_signal(signal.SIGSTOP)
    wait_until_paused(process)


def stop_child(child: Child) -> None:
    """Stop one child and kill what is left of its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


def _dies_with_us() -> list[str]:
    """Return a command prefix that ends the child when the parent is killed and cannot stop it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _mark(port: int) -> socket.socket | None:
    """Reserve a port by a name in Linux' abstract socket namespace; return None if another process holds it."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0jelmon-port-{port}")
    except OSError:
        mark.close()
        return None
    return mark


def free_port(preferred: int = 0) -> int:
    """Return a loopback TCP port that nobody listens on: the preferred one, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SourceError("no free TCP port on 127.0.0.1")


def listens(port: int) -> bool:
    """Return whether a server accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
