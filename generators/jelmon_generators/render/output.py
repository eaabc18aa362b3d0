"""The only writer of generated files.

A generated file says so in its first lines. A file that says so, is in an owned folder and is no longer generated is
stale: it is removed, or reported by a check.
"""

import difflib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jelmon.errors import SourceError

MARK = "generated from "
_HEAD_BYTES = 4096
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Change:
    """A file that differs from what is generated. ``new`` is None for a stale one."""

    path: str
    old: str | None
    new: str | None

    def diff(self) -> str:
        """Return the change as a unified diff."""
        lines = difflib.unified_diff(
            (self.old or "").splitlines(keepends=True),
            (self.new or "").splitlines(keepends=True),
            f"a/{self.path}" if self.old is not None else "/dev/null",
            f"b/{self.path}" if self.new is not None else "/dev/null",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def changes(files: Mapping[str, str], root: Path, owned: Iterable[str]) -> list[Change]:
    """Return what writing ``files`` under ``root`` would change, sorted by path."""
    changes = []
    for path, new in files.items():
        old = _read(root / path)
        if old != new:
            changes.append(Change(path, old, new))
    changes.extend(Change(path, _read(root / path), None) for path in _stale(files, root, owned))
    return sorted(changes, key=lambda change: change.path)


def write(changes: Iterable[Change], root: Path) -> list[Path]:
    """Carry out all changes, or none; return the folders that were created.

    Every new text is first written to a temporary file beside its target, which fails if the disk is full. Then the
    files are renamed; a rename is atomic, so a reader never sees a partial file.

    Raises:
        SourceError: a file cannot be written; nothing has changed unless a rename failed.
    """
    changes = list(changes)
    beside: dict[str, str] = {}  # plain strings: there may be thousands of files
    folders: list[Path] = []
    ready: set[str] = set()
    try:
        for change in changes:
            path = str(root / change.path)
            if os.path.isdir(path):  # noqa: PTH112
                raise SourceError(f"cannot write {path}: it is a folder", hint="remove it, or choose another --output")
            if change.new is not None:
                with _explained(path, no_room="free disk space and run the command again; no file was changed"):
                    folder, name = os.path.split(path)
                    if folder not in ready:
                        folders += _created(Path(folder))
                        ready.add(folder)
                    beside[path] = os.path.join(folder, f".{name}.new")  # noqa: PTH118
                    with open(beside[path], "wb") as file:  # noqa: PTH123
                        file.write(change.new.encode())
    except BaseException:  # an interrupt must not leave half a set of files either
        for new in beside.values():
            Path(new).unlink(missing_ok=True)
        remove_empty(folders)
        raise
    for change in changes:
        path = str(root / change.path)
        with _explained(path):
            if path in beside:
                os.replace(beside[path], path)  # noqa: PTH105 (says that it replaces)
            else:
                Path(path).unlink(missing_ok=True)
    return folders


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are empty, the innermost first."""
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):
            folder.rmdir()


def _created(folder: Path) -> list[Path]:
    """Create a folder with its parents; return those that did not exist."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextmanager
def _explained(path: str, *, no_room: str = "") -> Iterator[None]:
    """Turn an OSError into a message that names the file and suggests a fix."""
    try:
        yield
    except OSError as error:
        hint = no_room if no_room and error.errno in _NO_ROOM else "check the permissions, or choose another --output"
        raise SourceError(f"cannot write {path}: {error.strerror}", hint=hint) from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def _stale(files: Mapping[str, str], root: Path, owned: Iterable[str]) -> Iterator[str]:
    for folder in owned:
        for path in sorted((root / folder).glob("*")):
            name = f"{folder}/{path.name}"
            if name not in files and path.is_file() and MARK in _head(path):
                yield name


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES).decode("utf-8", "replace")
