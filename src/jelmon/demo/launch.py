"""Starts each server on a loopback port, with its own data folder, and waits until it answers."""

import http.client
import os
import pwd
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from jelmon.demo import servers
from jelmon.demo.processes import Child, Processes, listens
from jelmon.errors import SourceError

START_SECONDS = 30.0


def answers(url: str) -> bool:
    """Return whether an HTTP GET answers with a 2xx status."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(200 <= response.status < 300)
    except (OSError, http.client.HTTPException):
        return False


def nats(
    processes: Processes, program: Path, folder: Path, *, port: int | None = None, config: Path | None = None
) -> str:
    """Start nats-server with JetStream; return its URL."""
    port = port or processes.port(14222)
    folder.mkdir(parents=True, exist_ok=True)
    child = processes.start(
        "nats-server",
        [
            program,
            *("--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", folder),
            *(("--config", config) if config else ()),
        ],
        environ=servers.environment(program),
    )
    processes.wait_until("nats-server", lambda: listens(port), seconds=START_SECONDS, child=child)
    return f"nats://127.0.0.1:{port}"


def redis(processes: Processes, program: Path, folder: Path, *, port: int | None = None) -> str:
    """Start redis-server with an append-only file; return its URL."""
    port = port or processes.port(16379)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": folder,
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    child = processes.start("redis-server", [program, *arguments], environ=servers.environment(program))
    processes.wait_until("redis-server", lambda: listens(port), seconds=START_SECONDS, child=child)
    return f"redis://127.0.0.1:{port}/0"


def prometheus(
    processes: Processes,
    program: Path,
    folder: Path,
    config: Path,
    *,
    port: int | None = None,
    reloadable: bool = True,
    name: str = "prometheus",
    options: Sequence[str] = (),
) -> str:
    """Start Prometheus on a configuration file; return its URL.

    With a grace period of 0, pending alerts continue exactly where they were before a restart.
    """
    port = port or processes.port(19090)
    child = processes.start(
        name,
        [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}",
            f"--web.listen-address=127.0.0.1:{port}",
            *(["--web.enable-lifecycle"] if reloadable else []),
            "--rules.alert.for-grace-period=0s",
            *options,
        ],
        environ=servers.environment(program),
        folder=servers.working_folder(program),
    )
    url = f"http://127.0.0.1:{port}"
    processes.wait_until(name, lambda: answers(f"{url}/-/ready"), seconds=START_SECONDS, child=child)
    return url


def alertmanager(
    processes: Processes,
    program: Path,
    folder: Path,
    config: Path,
    *,
    port: int | None = None,
    options: Sequence[str] = (),
) -> str:
    """Start a single Alertmanager on a configuration file; return its URL."""
    port = port or processes.port(19093)
    child = processes.start(
        "alertmanager",
        [
            program,
            f"--config.file={config}",
            f"--storage.path={folder}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            *options,
        ],
        environ=servers.environment(program),
        folder=servers.working_folder(program),
    )
    url = f"http://127.0.0.1:{port}"
    processes.wait_until("alertmanager", lambda: answers(f"{url}/-/ready"), seconds=START_SECONDS, child=child)
    return url


def postgres(
    processes: Processes, postgres_program: Path, initdb: Path, folder: Path, *, port: int | None = None
) -> str:
    """Start PostgreSQL, with a new cluster if the folder has none; return a DSN.

    PostgreSQL refuses to run as root, so root starts it as an unprivileged user.
    """
    port = port or processes.port(15432)
    user = _unprivileged_user() if os.geteuid() == 0 else None
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)
        initdb, postgres_program = (_readable_by(user, program, folder) for program in (initdb, postgres_program))
    if not data.exists():
        result = subprocess.run(
            [
                initdb,
                "--pgdata",
                data,
                "--username",
                "jelmon",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            check=False,
            user=user,
            extra_groups=[] if user else None,
            cwd="/",
        )
        if result.returncode:
            raise SourceError(
                f"initdb failed: {result.stderr.strip() or result.stdout.strip()}",
                hint=f"check the free space in {folder.parent}; TMPDIR selects another folder",
            )
    child = processes.start(
        "postgres",
        [postgres_program, "-D", data, "-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", ""],
        user=user,
        folder=Path("/"),
    )
    processes.wait_until("postgres", lambda: _postgres_is_ready(child, port), seconds=START_SECONDS, child=child)
    return f"postgresql://jelmon@127.0.0.1:{port}/postgres"


def _postgres_is_ready(child: Child, port: int) -> bool:
    # it listens before it accepts connections; the log line comes when it does
    return "ready to accept connections" in child.log.read_text(errors="replace") and listens(port)


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise SourceError("PostgreSQL cannot run as root and there is no user 'postgres' or 'nobody'")


def _readable_by(user: str, program: Path, folder: Path) -> Path:
    """Return the program if the user can run it, else a copy (a wheel below /root is out of reach for others)."""
    if _reachable(user, program):
        return program
    tree = program.resolve().parent.parent
    copy = folder / tree.parent.name / tree.name
    if not copy.exists():
        shutil.copytree(tree, copy, symlinks=True)
        for libraries in tree.parent.parent.glob(f"{tree.parent.name}.libs"):
            shutil.copytree(libraries, folder / libraries.name)
    return copy / "bin" / program.name


def _reachable(user: str, program: Path) -> bool:
    test = shutil.which("test") or "/usr/bin/test"
    return subprocess.run([test, "-x", program], check=False, user=user, extra_groups=[], cwd="/").returncode == 0
