"""The state of a file that changes when the file does."""

from collections.abc import Iterable
from pathlib import Path

State = tuple[int, int, int] | None


def state_of(path: Path) -> State:
    """Return modification time, size and inode of the file at the path; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def states_of(paths: Iterable[Path]) -> dict[Path, State]:
    """Return the state of each file."""
    return {path: state_of(path) for path in paths}
