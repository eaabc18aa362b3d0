"""Events from a process event log, a CSV file as for ``jelmon replay``; its columns are found by common names."""

from collections.abc import Iterator
from pathlib import Path

from jelmon.errors import ConfigError
from jelmon.tools.eventlog.events import events_of
from jelmon.tools.eventlog.runs import Reading, read_log
from jelmon.tools.findings import listing
from jelmon_history.inputs.arrival import Arrival

SUFFIXES = (".csv", ".csv.gz")


def is_event_log(path: Path) -> bool:
    """Return whether the name is that of an event log."""
    return path.name.endswith(SUFFIXES)


def arrivals(path: Path, pipeline: str | None) -> Iterator[Arrival]:
    """Yield the events of a log in order of time.

    Raises:
        ConfigError: the log cannot be read or has invalid rows.
    """
    log = read_log(path, Reading())
    if log.problems:
        raise ConfigError(
            f"{listing(log.problems, 'row')} of {log.rows}",
            hint="`jelmon replay --dry-run` has flags for columns, time formats and bad rows: pipe its output in",
        )
    name = pipeline or path.name.removesuffix(".gz").removesuffix(".csv")
    for event in events_of(log.runs, name):
        yield Arrival(event.time.timestamp(), event)  # type: ignore[arg-type] # every event is one of the union
