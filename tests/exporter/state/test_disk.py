"""What can be wrong with the file of `--state.path`, told with what helps; and a check makes no file."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.errors import ConfigError
from jelmon_exporter.state.disk import DiskStore
from jelmon_exporter.state.model import Changes, Position
from jelmon_exporter.state.store import StoreUnavailableError

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        DiskStore(path)
    return str(caught.value)


async def test_what_is_no_state_file_is_refused_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("somebody's notes, " * 100, encoding="utf-8")
    store = DiskStore(tmp_path / "state")

    assert (
        refused(tmp_path) == f"--state.path: {tmp_path} is a directory\n  hint: name a file in it: {tmp_path}/state.db"
    )
    assert f"{tmp_path}/notes is not a directory" in refused(tmp_path / "notes" / "state")
    assert "file is not a database\n  hint: the file belongs to another program" in refused(tmp_path / "notes")
    assert "database is locked\n  hint: another exporter has it open" in refused(tmp_path / "state")
    assert "database or disk is full\n  hint: the disk is full: free some space" in refused(Path("/dev/full"))
    assert (tmp_path / "notes").read_text(encoding="utf-8").startswith("somebody's notes")
    await store.close()
    await DiskStore(tmp_path / "state").close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_must_not_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    (tmp_path / "file").touch(mode=0o400)

    assert f"no permission to write {folder}\n  hint: the exporter needs the right" in refused(folder / "state")
    assert f"no permission to write {tmp_path}/file\n" in refused(tmp_path / "file")


async def test_a_full_disk_is_told_and_the_same_commit_goes_through_when_there_is_room(tmp_path: Path) -> None:
    """SQLite ends the transaction by itself then, so that there is nothing to roll back."""
    store = DiskStore(tmp_path / "state")
    claim = await store.acquire(0)
    assert claim is not None
    changes = Changes(entries={f"card-{number}": b"x" * 1000 for number in range(100)})
    position = Position(version=1, sequence=10, stream="s", time=1.0)
    store._database.execute("PRAGMA max_page_count = 10")  # the database's own limit is told as a full disk is
    with pytest.raises(StoreUnavailableError, match="cannot be written: database or disk is full") as caught:
        await store.commit(0, claim=claim, position=position, changes=changes)
    store._database.execute("PRAGMA max_page_count = 100000")
    await store.commit(0, claim=claim, position=position, changes=changes)

    assert caught.value.hint == "the disk is full: free some space"
    assert len((await store.load(0)).entries) == 100
    await store.close()


async def test_checking_the_configuration_makes_no_state_file_and_asks_no_server(
    jelmon: Jelmon, tmp_path: Path
) -> None:
    flags = ["--check-config", "--nats.url", "nats://127.0.0.1:1", "--state.path"]
    good = jelmon("exporter", *flags, str(tmp_path / "folder" / "state"))
    folder = jelmon("exporter", *flags, str(tmp_path))
    store = DiskStore(tmp_path / "state")
    in_use = jelmon("exporter", *flags, str(tmp_path / "state"))
    await store.close()
    nobody = jelmon("exporter", *flags[:-1], "--redis.url", "redis://127.0.0.1:1/0")
    bad = jelmon("exporter", *flags[:-1], "--redis.url", "redis://127.0.0.1:99999/0")

    assert (good.returncode, in_use.returncode, folder.returncode) == (0, 0, 2)
    assert (nobody.returncode, bad.returncode, bad.stderr.splitlines()[0]) == (
        0,
        2,
        "jelmon: REDIS_URL: Port out of range 0-65535",
    )
    assert "is a directory" in folder.stderr
    assert [path.name for path in tmp_path.iterdir() if "state" not in path.name] == []
