"""Increments that frequent events collect as plain numbers, brought into the series once per commit.

Adding to a plain number costs a third of updating a cell.
"""

from datetime import timedelta

from jelmon import catalogue as c
from jelmon_exporter.series.cells import Cell, HistogramCell, SeriesTable, closed_sets


class Outcomes:
    """A counter whose last label is closed; all of its series exist, at 0, from the start."""

    __slots__ = ("by_value",)

    def __init__(self, table: SeriesTable, metric: c.Counter, **known: str) -> None:
        self.by_value: dict[str, Cell] = {
            labels[-1]: table.cell(metric, *labels) for labels in closed_sets(metric, known)
        }

    def add(self, value: str) -> None:
        """Count one with this value of the last label."""
        self.by_value[value].add()


class PendingOutcome:
    """What finished with one outcome since the last commit: the number, and the durations that are known."""

    __slots__ = ("count", "durations")

    def __init__(self) -> None:
        self.count = 0
        self.durations: list[timedelta] = []


class Accumulator:
    """What is queued, starts and finishes: the cards of a pipeline, or the runs of a stage.

    Handlers add to the numbers here and put the accumulator on the ledger's list (`Ledger.mark_busy`); `flush` updates
    the cells.
    """

    __slots__ = (
        "_durations",
        "busy",
        "ended",
        "finished",
        "in_progress",
        "queued",
        "queued_delta",
        "running_delta",
        "started",
        "started_delta",
        "wait",
        "waiting",
        "waiting_delta",
        "waits",
    )

    def __init__(
        self,
        *,
        queued: Cell | None,
        started: Cell,
        finished: Outcomes,
        wait: HistogramCell,
        waiting: Cell,
        running: Cell,
    ) -> None:
        self.queued = queued
        self.started = started
        self.finished = finished
        self.wait = wait
        self.waiting = zeroed(waiting)
        self.in_progress = zeroed(running)
        self._durations: dict[str, HistogramCell] = {}
        self.busy = False
        self.queued_delta = self.started_delta = self.waiting_delta = self.running_delta = 0
        self.waits: list[timedelta] = []
        self.ended = {outcome: PendingOutcome() for outcome in finished.by_value}

    def duration(self, outcome: str) -> HistogramCell:
        """Return the histogram of durations with this outcome."""
        cell = self._durations.get(outcome)
        if cell is None:
            cell = self._durations[outcome] = self._duration_cell(outcome)
        return cell

    def _duration_cell(self, outcome: str) -> HistogramCell:
        raise NotImplementedError

    def flush(self) -> int:
        """Update the cells; return how many durations were negative."""
        negative = 0
        if self.queued_delta and self.queued is not None:
            self.queued.add(self.queued_delta)
            self.queued_delta = 0
        if self.started_delta:
            self.started.add(self.started_delta)
            self.started_delta = 0
        if self.waiting_delta:
            self.waiting.add(self.waiting_delta)
            self.waiting_delta = 0
        if self.running_delta:
            self.in_progress.add(self.running_delta)
            self.running_delta = 0
        if self.waits:
            negative += self.wait.observe_all(self.waits)
            self.waits.clear()
        for outcome, ended in self.ended.items():
            if ended.count:
                self.finished.by_value[outcome].add(ended.count)
                ended.count = 0
            if ended.durations:
                negative += self.duration(outcome).observe_all(ended.durations)
                ended.durations.clear()
        self.busy = False
        return negative


def zeroed(gauge: Cell) -> Cell:
    """Return the gauge, at 0 instead of absent: for gauges that count items."""
    if gauge.value is None:
        gauge.set(0)
    return gauge
