"""The writer of generated files: what differs, what is stale, and that a check writes nothing."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jelmon.errors import SourceError
from jelmon_generators.render import output


def test_a_change_is_shown_as_a_diff(tmp_path: Path) -> None:
    """A file that differs and a file that is missing; equal ones are not mentioned."""
    (tmp_path / "same.yml").write_text("a\n")
    (tmp_path / "other.yml").write_text("a\n")

    found = output.changes({"same.yml": "a\n", "other.yml": "b\n", "new.yml": "c\n"}, tmp_path, [])

    assert [change.path for change in found] == ["new.yml", "other.yml"]
    assert found[1].diff() == "--- a/other.yml\n+++ b/other.yml\n@@ -1 +1 @@\n-a\n+b\n"
    assert found[0].diff() == "--- /dev/null\n+++ b/new.yml\n@@ -0,0 +1 @@\n+c\n"
    assert not (tmp_path / "new.yml").exists()


def test_a_generated_file_that_is_generated_no_more_goes(tmp_path: Path) -> None:
    """Only in folders of ours, and only files that say that they are generated."""
    for folder in ("rules", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.yml").write_text("# generated from x, do not edit\n")
        (tmp_path / folder / "by-hand.yml").write_text("# mine\n")

    output.write(output.changes({"rules/new.yml": "n\n"}, tmp_path, ["rules"]), tmp_path)

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yml")) == [
        "elsewhere/by-hand.yml",
        "elsewhere/old.yml",
        "rules/by-hand.yml",
        "rules/new.yml",
    ]


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    """The same input gives the same bytes."""
    files = {"a/b/c.yml": "text without newline"}
    output.write(output.changes(files, tmp_path, []), tmp_path)

    assert output.changes(files, tmp_path, []) == []
    assert (tmp_path / "a/b/c.yml").read_bytes() == b"text without newline"


FILES = {f"rules/{place}.yml": "# generated from x, do not edit\n" + "x" * 30_000 for place in range(8)}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for two of the files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root only; a limit of the size is tried everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def contents(folder: Path) -> dict[str, str]:
    """Every file, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_changes_nothing(small_disk: Path) -> None:
    """Neither new, changed nor stale files; and what was written beside is gone."""
    (small_disk / "rules").mkdir()
    before = {"rules/1.yml": "old\n", "rules/stale.yml": "# generated from x, do not edit\n"}
    for name, text in before.items():
        (small_disk / name).write_text(text)

    with pytest.raises(SourceError, match="No space left on device") as caught:
        output.write(output.changes(FILES, small_disk, ["rules"]), small_disk)

    assert caught.value.hint == "free disk space and run the command again; no file was changed"
    assert contents(small_disk) == before


def test_a_limit_of_the_size_changes_nothing(bundle: Path) -> None:
    """The whole command, where a file may not grow to what it must be; without the limit it then works."""
    before = contents(bundle)
    command = [sys.executable, "-m", "jelmon", "generate", "--root", str(bundle)]

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    failed = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, check=False)

    assert failed.returncode == 1
    assert "File too large\n  hint: free disk space and run the command again; no file was changed" in failed.stderr
    assert contents(bundle) == before
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert contents(bundle).keys() > before.keys()


def test_a_folder_in_the_way_changes_nothing(tmp_path: Path) -> None:
    """Found before the first file takes its name."""
    (tmp_path / "rules/5.yml").mkdir(parents=True)

    with pytest.raises(SourceError, match=r"cannot write .*/rules/5.yml: it is a folder"):
        output.write([output.Change(name, None, text) for name, text in FILES.items()], tmp_path)

    assert contents(tmp_path) == {}
