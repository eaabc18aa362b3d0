"""``jelmon exporter --dry-run FILE``: what the exporter would expose after these events, without any server."""

import sys
from collections.abc import Iterator
from pathlib import Path

from jelmon import events
from jelmon.errors import ConfigError, EventError
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.changes import drain
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.serving.exposition import Format, render
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import ExporterSettings


def dry_run(path: Path, settings: ExporterSettings, view: View) -> tuple[str, list[str]]:
    """Return the page at /metrics after the events of a JSON Lines file, and the errors of lines that were skipped.

    Raises:
        ConfigError: the file cannot be read.
    """
    ledger = Ledger(limits=settings.limits, admission=Admission(settings.label_limit))
    tracker = Tracker(ledger)
    errors: list[str] = []
    for number, line in _lines(path):
        try:
            parts = [events.parse(part) for part in events.split(line)]
        except EventError as error:
            errors.append(f"{path}:{number}: {error}")
            ledger.parked[error.reason].add()
            continue
        for event in parts:
            ledger.now = max(ledger.now, event.time.timestamp())
        tracker.apply(parts)
    changes = drain(ledger)
    view.update("dry run", changes.series)
    view.declare("dry run", changes.declared)
    return render(view, Format.TEXT_0_0_4), errors


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--dry-run: cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            yield number, line
