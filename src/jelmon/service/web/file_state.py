"""What tells a file from its next version."""

from collections.abc import Iterable
from pathlib import Path

State = tuple[int, int, int] | None


def state_of(path: Path) -> State:
    """Time, size and number of the file that stands at the path now; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def states_of(paths: Iterable[Path]) -> dict[Path, State]:
    """The state of each file."""
    return {path: state_of(path) for path in paths}
