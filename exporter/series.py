"""The cells of one pipeline, of one stage and so on, found once and then used directly: no look-up per update."""

import heapq
from collections.abc import Callable
from itertools import count

from jelmon import catalogue as c
from jelmon.exporter.lifecycle import Life
from jelmon.exporter.state.cells import MICRO, OVERFLOW, Cell, HistogramCell, SeriesTable, closed_sets, real
from jelmon.exporter.state.model import Card

Label = Callable[[tuple[str, ...], str], str]
"""From the scope and a value of a label to the value that is shown."""

_ties = count()  # heaps compare times, then this; never the lives


class Admission:
    """Which label values get series of their own. Shared by all partitions of a process, each of which holds values."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[tuple[str, ...], dict[str, set[object]]] = {}

    def label(self, scope: tuple[str, ...], value: str, holder: object) -> str:
        """The value as it is shown: itself, or `OVERFLOW` when the scope has as many values as it may."""
        shown = real(value)
        held = self._held.setdefault(scope, {})
        holders = held.get(shown)
        if holders is None:
            if len(held) >= self._limit:
                return OVERFLOW
            holders = held[shown] = set()
        holders.add(holder)
        return shown

    def readmit(self, scope: tuple[str, ...], shown: str, holder: object) -> None:
        """Admit a value that had series before a restart, whatever the limit is now."""
        if shown != OVERFLOW:
            self._held.setdefault(scope, {}).setdefault(shown, set()).add(holder)

    def dismiss(self, scope: tuple[str, ...], shown: str, holder: object) -> None:
        """The holder's series of a value are gone; when all holders' are there is room for another value."""
        held = self._held.get(scope, {})
        holders = held.get(shown, set())
        holders.discard(holder)
        if not holders:
            held.pop(shown, None)
        if not held:
            self._held.pop(scope, None)

    def leave(self, holder: object) -> None:
        """The holder is no more: it dismisses everything."""
        for scope, held in list(self._held.items()):
            for shown in list(held):
                self.dismiss(scope, shown, holder)


class Outcomes:
    """A counter with a closed label that comes last, all of its series at 0 from the start."""

    __slots__ = ("by_value",)

    def __init__(self, table: SeriesTable, metric: c.Counter, **known: str) -> None:
        self.by_value: dict[str, Cell] = {
            labels[-1]: table.cell(metric, *labels) for labels in closed_sets(metric, known)
        }

    def add(self, value: str) -> None:
        self.by_value[value].add()


class Ages:
    """The lives that wait (or run) now, to tell the oldest. Those that are over are dropped lazily."""

    __slots__ = ("_alive", "_heap", "fresh")

    def __init__(self, alive: Callable[[Life, int], bool]) -> None:
        self._heap: list[tuple[int, int, Life]] = []
        self._alive = alive
        self.fresh: list[tuple[int, Life]] = []  # since `oldest` was last asked; most are over by the next time

    def oldest(self, count: float) -> float | None:
        """The earliest time, in seconds; ``count`` is how many are alive, so that the dead never pile up."""
        heap, alive = self._heap, self._alive
        for time, life in self.fresh:
            if alive(life, time):
                heapq.heappush(heap, (time, next(_ties), life))
        self.fresh.clear()
        if len(heap) > 2 * count + 64:
            heap[:] = [entry for entry in heap if alive(entry[2], entry[0])]
            heapq.heapify(heap)
        while heap and not alive(heap[0][2], heap[0][0]):
            heapq.heappop(heap)
        return heap[0][0] / MICRO if heap else None


def _waits(life: Life, time: int) -> bool:
    return life.live and life.started is None and life.queued == time


def _runs(life: Life, time: int) -> bool:
    return life.live and life.started == time


class StageSeries:
    """The cells of one stage of one pipeline."""

    def __init__(self, table: SeriesTable, pipeline: str, stage: str) -> None:
        self._table = table
        self._labels = (pipeline, stage)
        self.shown = stage
        self.started = table.cell(c.STAGE_RUNS_STARTED, pipeline, stage)
        self.finished = Outcomes(table, c.STAGE_RUNS_FINISHED, pipeline=pipeline, stage=stage)
        self.retries = table.cell(c.STAGE_RETRIES, pipeline, stage)
        self.queue_time = table.cell(c.STAGE_QUEUE_TIME, pipeline, stage)
        self._run_times: dict[str, HistogramCell] = {}
        self.queue_depth = zeroed(table.cell(c.STAGE_QUEUE_DEPTH, pipeline, stage))
        self.in_progress = zeroed(table.cell(c.STAGE_IN_PROGRESS, pipeline, stage))
        self.held_up = zeroed(table.cell(c.STAGE_HELD_UP, pipeline, stage))
        self._oldest_waiting = table.cell(c.STAGE_OLDEST_WAITING, pipeline, stage)
        self._oldest_running = table.cell(c.STAGE_OLDEST_RUNNING, pipeline, stage)
        self.waiting = Ages(_waits)
        self.running = Ages(_runs)
        self.transitions: dict[str, Cell] = {}
        if pipeline == OVERFLOW:  # pipelines above the limit share cells, so nobody knows their oldest
            self.queue_depth.refresh = self.waiting.fresh.clear
            self.in_progress.refresh = self.running.fresh.clear
        else:
            self.queue_depth.refresh = self._set_oldest_waiting
            self.in_progress.refresh = self._set_oldest_running

    def run_time(self, outcome: str) -> HistogramCell:
        found = self._run_times.get(outcome)
        if found is None:
            found = self._run_times[outcome] = self._table.cell(c.STAGE_RUN_TIME, *self._labels, outcome)
        return found

    def _set_oldest_waiting(self) -> None:
        self._oldest_waiting.set(self.waiting.oldest(self.queue_depth.value or 0))

    def _set_oldest_running(self) -> None:
        self._oldest_running.set(self.running.oldest(self.in_progress.value or 0))


class PipelineSeries:
    """The cells of one pipeline, its stages and its cards in flight."""

    def __init__(self, table: SeriesTable, label: Label, name: str) -> None:
        self._table = table
        self._label = label
        self.name = name
        self.shown = shown = label(("pipeline",), name)
        self.queued = table.cell(c.CARDS_QUEUED, shown)
        self.started = table.cell(c.CARDS_STARTED, shown)
        self.finished = Outcomes(table, c.CARDS_FINISHED, pipeline=shown)
        self.wait = table.cell(c.CARD_WAIT, shown)
        self._processing: dict[str, HistogramCell] = {}
        self.waiting = zeroed(table.cell(c.CARDS_WAITING, shown))
        self.in_progress = zeroed(table.cell(c.CARDS_IN_PROGRESS, shown))
        self.last_activity = table.cell(c.LAST_ACTIVITY, shown)
        self.latest = 0  # event time of the newest activity, microseconds
        self.last_activity.refresh = self._set_last_activity
        self.cards: dict[str, Card] = {}
        self.stages: dict[str, StageSeries] = {}
        self._overflow_stage: StageSeries | None = None

    def processing(self, outcome: str) -> HistogramCell:
        found = self._processing.get(outcome)
        if found is None:
            found = self._processing[outcome] = self._table.cell(c.CARD_PROCESSING, self.shown, outcome)
        return found

    def stage(self, name: str) -> StageSeries:
        found = self.stages.get(name)
        if found is None:
            shown = self._label(("stage", self.shown), name)
            if shown == OVERFLOW:
                return self._overflow()
            found = self.stages[name] = StageSeries(self._table, self.shown, shown)
        return found

    def _overflow(self) -> StageSeries:
        if self._overflow_stage is None:
            self._overflow_stage = StageSeries(self._table, self.shown, OVERFLOW)
        return self._overflow_stage

    def forget_stages(self, shown: set[str]) -> None:
        """Let go of stages whose cells were dropped, and of what points at their cells."""
        for name, stage in list(self.stages.items()):
            if stage.shown in shown:
                del self.stages[name]
        if OVERFLOW in shown:
            self._overflow_stage = None
        for stage in (*self.stages.values(), *filter(None, [self._overflow_stage])):
            stage.transitions.clear()

    def moved(self, stage: StageSeries, to_stage: str) -> None:
        """Count a card that went from one stage to the next."""
        cell = stage.transitions.get(to_stage)
        if cell is None:
            target = self.stage(to_stage)
            cell = self._table.cell(c.STAGE_TRANSITIONS, self.shown, stage.shown, target.shown)
            if target.shown != OVERFLOW:
                stage.transitions[to_stage] = cell
        cell.add()

    def active(self, time: int) -> None:
        """Note activity at ``time``."""
        if time > self.latest:
            self.latest = time
            self.last_activity.touch()

    def _set_last_activity(self) -> None:
        shown = self.last_activity.value
        if self.latest and (shown is None or self.latest / MICRO > shown):
            self.last_activity.value = self.latest / MICRO


def zeroed(gauge: Cell) -> Cell:
    """A gauge that counts something: 0, not absent, when there is nothing."""
    if gauge.value is None:
        gauge.set(0)
    return gauge
