"""``jelmon exporter --dry-run FILE``: what the exporter would expose after these events, without any server."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from jelmon import events
from jelmon.errors import ConfigError, EventError, Rejection
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.counting.partition import PartitionCounter, UncountableError
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.serving.exposition import Format, render
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.state.memory import MemoryStore

_BATCH = 1000
"""Events that are counted together, as from the stream."""


def dry_run(path: Path, settings: ExporterSettings, view: View) -> tuple[str, list[str]]:
    """Return the page at /metrics after the events of a JSON Lines file, and the errors of events that are not counted.

    Raises:
        ConfigError: the file cannot be read.
    """
    context = CountingContext(
        store=MemoryStore(),
        view=view,
        process_series=SeriesTable(),
        limits=settings.limits,
        admission=Admission(settings.label_limit),
        partitions=1,
    )
    errors = asyncio.run(_count(path, context))
    return render(view, Format.TEXT_0_0_4), [f"{path}:{number}: {error}" for number, error in sorted(errors, key=_line)]


async def _count(path: Path, context: CountingContext) -> list[tuple[int, EventError]]:
    """Count the events; return the errors of those that are not counted, with the numbers of their lines."""
    claim = await context.store.acquire(0)
    assert claim is not None
    counter = PartitionCounter(0, context, claim)
    await counter.start()
    counter.set_backlog(0)
    errors: list[tuple[int, EventError]] = []
    waiting: list[tuple[int, events.Event]] = []
    now = 0.0
    for number, line in _lines(path):
        try:
            parts = [events.parse(part) for part in events.split(line)]
        except EventError as error:
            errors.append((number, error))
            continue
        waiting += [(number, event) for event in parts]
        now = max(now, *(event.time.timestamp() for event in parts))
        if len(waiting) >= _BATCH:
            errors += await _count_batch(counter, waiting, now)
            waiting = []
    errors += await _count_batch(counter, waiting, now)
    counter.count_parked(error for _, error in errors if error.reason is not Rejection.UNCOUNTABLE)
    await counter.commit()
    return errors


async def _count_batch(
    counter: PartitionCounter, batch: list[tuple[int, events.Event]], now: float
) -> list[tuple[int, EventError]]:
    try:
        counter.count([event for _, event in batch], now)
        await counter.commit()
    except UncountableError:
        results = await counter.count_each([event for _, event in batch], now)
        return [
            (number, result)
            for (number, _), result in zip(batch, results, strict=True)
            if isinstance(result, EventError)
        ]
    return []


def _line(error: tuple[int, EventError]) -> int:
    return error[0]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--dry-run: cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            yield number, line
