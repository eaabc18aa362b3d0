"""The series of one pipeline and of its stages, looked up once and then used directly."""

from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime

from jelmon import catalogue as c
from jelmon_exporter.counting.accumulator import Accumulator, Outcomes, zeroed
from jelmon_exporter.counting.oldest import OldestItems
from jelmon_exporter.series.cells import OVERFLOW, Cell, HistogramCell, SeriesTable
from jelmon_exporter.state.model import Card

Admit = Callable[[tuple[str, ...], str], str]
"""Returns the label value to expose, from the scope and the value."""

NEVER = datetime.min.replace(tzinfo=UTC)


class StageSeries(Accumulator):
    """The series of one stage of one pipeline. ``label`` is its label value."""

    __slots__ = (
        "_labels",
        "_oldest_running",
        "_oldest_waiting",
        "_table",
        "held_up",
        "label",
        "name",
        "retries",
        "running_items",
        "transitions",
        "waiting_items",
    )

    def __init__(self, table: SeriesTable, pipeline: str, stage: str, name: str) -> None:
        """Look up the cells. ``name`` is the producers' name; empty for the stage of all names above the limit."""
        super().__init__(
            queued=None,
            started=table.cell(c.STAGE_RUNS_STARTED, pipeline, stage),
            finished=Outcomes(table, c.STAGE_RUNS_FINISHED, pipeline=pipeline, stage=stage),
            wait=table.cell(c.STAGE_QUEUE_TIME, pipeline, stage),
            waiting=table.cell(c.STAGE_QUEUE_DEPTH, pipeline, stage),
            running=table.cell(c.STAGE_IN_PROGRESS, pipeline, stage),
        )
        self._table = table
        self._labels = (pipeline, stage)
        self.name = name
        self.label = stage
        self.retries = table.cell(c.STAGE_RETRIES, pipeline, stage)
        self.held_up = zeroed(table.cell(c.STAGE_HELD_UP, pipeline, stage))
        self._oldest_waiting = table.cell(c.STAGE_OLDEST_WAITING, pipeline, stage)
        self._oldest_running = table.cell(c.STAGE_OLDEST_RUNNING, pipeline, stage)
        self.waiting_items = OldestItems(waiting=True)
        self.running_items = OldestItems(waiting=False)
        self.transitions: dict[str, Cell] = {}

    def _duration_cell(self, outcome: str) -> HistogramCell:
        return self._table.cell(c.STAGE_RUN_TIME, *self._labels, outcome)

    def flush(self) -> int:
        """Update the cells; return how many durations were negative."""
        negative = super().flush()
        if self._labels[0] == OVERFLOW:  # pipelines above the limit share cells, so there is no single oldest item
            self.waiting_items.fresh.clear()
            self.running_items.fresh.clear()
        else:
            self._oldest_waiting.set(self.waiting_items.oldest(self.waiting.value or 0))
            self._oldest_running.set(self.running_items.oldest(self.in_progress.value or 0))
        return negative


class PipelineSeries(Accumulator):
    """The series of one pipeline, its stages and its cards in flight. ``label`` is its label value.

    Pipelines above the label limit have cards of their own, but share the series, and the numbers that are not in them
    yet, of the first such pipeline: their number is not limited by labels, so that each must be small.
    """

    __slots__ = (
        "_admit",
        "_table",
        "cards",
        "changed",
        "label",
        "last_activity",
        "latest",
        "name",
        "stages",
    )

    def __init__(self, table: SeriesTable, admit: Admit, name: str, label: str) -> None:
        super().__init__(
            queued=table.cell(c.CARDS_QUEUED, label),
            started=table.cell(c.CARDS_STARTED, label),
            finished=Outcomes(table, c.CARDS_FINISHED, pipeline=label),
            wait=table.cell(c.CARD_WAIT, label),
            waiting=table.cell(c.CARDS_WAITING, label),
            running=table.cell(c.CARDS_IN_PROGRESS, label),
        )
        self._table = table
        self._admit = admit
        self.name = name
        self.label = label
        self.last_activity = table.cell(c.LAST_ACTIVITY, label)
        self.latest = NEVER  # event time of the newest activity
        self.cards: dict[str, Card] = {}
        self.changed: dict[str, Card] = {}  # since the last commit
        self.stages: dict[str, StageSeries] = {}  # that of all names above the limit has no name

    @classmethod
    def above_the_limit(cls, first: "PipelineSeries", name: str) -> "PipelineSeries":
        """Return the series of one more pipeline above the label limit."""
        series = copy(first)
        series.name, series.busy, series.latest = name, False, NEVER
        series.queued_delta = series.started_delta = series.waiting_delta = series.running_delta = 0
        series.cards, series.changed = {}, {}
        return series

    def _duration_cell(self, outcome: str) -> HistogramCell:
        return self._table.cell(c.CARD_PROCESSING, self.label, outcome)

    def stage(self, name: str) -> StageSeries:
        """Return the series of a stage, created on first use."""
        series = self.stages.get(name)
        if series is None:
            label = self._admit(("stage", self.label), name)
            if label == OVERFLOW:
                name = ""
            series = self.stages.get(name)
            if series is None:
                series = self.stages[name] = StageSeries(self._table, self.label, label, name)
        return series

    def drop_stages(self, labels: set[str]) -> None:
        """Drop stages whose cells are gone, and every reference to those cells."""
        for name, stage in list(self.stages.items()):
            if stage.label in labels:
                del self.stages[name]
        for stage in self.stages.values():
            stage.transitions.clear()

    def count_transition(self, stage: StageSeries, to_stage: str) -> None:
        """Count a card that went from one stage to the next."""
        cell = stage.transitions.get(to_stage)
        if cell is None:
            target = self.stage(to_stage)
            cell = self._table.cell(c.STAGE_TRANSITIONS, self.label, stage.label, target.label)
            if target.label != OVERFLOW:
                stage.transitions[to_stage] = cell
        cell.add()

    def record_activity(self, time: datetime) -> None:
        """Record activity at ``time``."""
        if time > self.latest:
            self.latest = time

    def flush(self) -> int:
        """Update the cells; return how many durations were negative."""
        if self.latest > NEVER:
            exposed, latest = self.last_activity.value, self.latest.timestamp()
            if exposed is None or latest > exposed:
                self.last_activity.set(latest)
        return super().flush()
