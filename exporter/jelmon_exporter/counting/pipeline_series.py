"""The cells of one pipeline, of one stage and so on, found once and then used directly: no look-up per update."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from operator import attrgetter

from jelmon import catalogue as c
from jelmon_exporter.series.cells import OVERFLOW, Cell, HistogramCell, SeriesTable, closed_sets, real
from jelmon_exporter.state.lifecycle import Life
from jelmon_exporter.state.model import Card

Label = Callable[[tuple[str, ...], str], str]
"""From the scope and a value of a label to the value that is shown."""

NEVER = datetime.min.replace(tzinfo=UTC)

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
    """The lives that wait now, or those that run, to tell the oldest. Those that are over are dropped lazily."""

    __slots__ = ("_lines", "_size", "_time", "_waiting", "fresh")

    def __init__(self, *, waiting: bool) -> None:
        self._waiting = waiting
        self._time: Callable[[Life], datetime] = attrgetter("queued" if waiting else "started")
        self._lines: list[
            tuple[datetime, int, list[Life]]
        ] = []  # a heap; lives in a line go from the newest to the oldest
        self._size = 0
        self.fresh: list[Life] = []  # since `oldest` was last asked; most are over by the next time

    def oldest(self, count: float) -> float | None:
        """The earliest time, in seconds; ``count`` is how many are alive, so that the dead never pile up."""
        if self.fresh:
            self._add_line(self.fresh)
            self.fresh.clear()
        if self._size > 2 * count + 64:
            lines, self._lines, self._size = self._lines, [], 0
            self._add_line([life for _, _, line in lines for life in line])
        while self._lines:
            time, _, line = self._lines[0]
            while line and not (line[-1].live and (line[-1].started is None or not self._waiting)):
                line.pop()
                self._size -= 1
            if not line:
                heapq.heappop(self._lines)
            elif (oldest := self._time(line[-1])) != time:
                heapq.heapreplace(self._lines, (oldest, next(_ties), line))
            else:
                return time.timestamp()
        return None

    def _add_line(self, lives: list[Life]) -> None:
        line = self._alive(lives)
        if line:
            line.sort(key=self._time, reverse=True)
            heapq.heappush(self._lines, (self._time(line[-1]), next(_ties), line))
            self._size += len(line)

    def _alive(self, lives: list[Life]) -> list[Life]:
        if self._waiting:
            return [life for life in lives if life.live and life.started is None]
        return [life for life in lives if life.live]


class Ended:
    """What ended with one outcome since the last commit: how many, and the durations that are known."""

    __slots__ = ("count", "times")

    def __init__(self) -> None:
        self.count = 0
        self.times: list[timedelta] = []


class Flow:
    """What is queued, starts and ends: the cards of a pipeline, or the runs of a stage.

    Handlers of frequent events add to the plain numbers here, which costs a third of updating cells, and put the flow
    on the ledger's list of those that are busy. `settle` brings the cells up to date, once for each commit.
    """

    __slots__ = (
        "_times",
        "busy",
        "ended",
        "finished",
        "in_progress",
        "more_queued",
        "more_running",
        "more_started",
        "more_waiting",
        "queued",
        "started",
        "wait",
        "waiting",
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
        self._times: dict[str, HistogramCell] = {}
        self.busy = False
        self.more_queued = self.more_started = self.more_waiting = self.more_running = 0
        self.waits: list[timedelta] = []
        self.ended = {outcome: Ended() for outcome in finished.by_value}

    def time(self, outcome: str) -> HistogramCell:
        """How long what ended with an outcome took."""
        found = self._times.get(outcome)
        if found is None:
            found = self._times[outcome] = self._make_time(outcome)
        return found

    def _make_time(self, outcome: str) -> HistogramCell:
        raise NotImplementedError

    def settle(self) -> int:
        """Bring the cells up to date; returns how many durations were negative."""
        negative = 0
        if self.more_queued and self.queued is not None:
            self.queued.add(self.more_queued)
            self.more_queued = 0
        if self.more_started:
            self.started.add(self.more_started)
            self.more_started = 0
        if self.more_waiting:
            self.waiting.add(self.more_waiting)
            self.more_waiting = 0
        if self.more_running:
            self.in_progress.add(self.more_running)
            self.more_running = 0
        if self.waits:
            negative += self.wait.observe_all(self.waits)
            self.waits.clear()
        for outcome, ended in self.ended.items():
            if ended.count:
                self.finished.by_value[outcome].add(ended.count)
                ended.count = 0
            if ended.times:
                negative += self.time(outcome).observe_all(ended.times)
                ended.times.clear()
        self.busy = False
        return negative


class StageSeries(Flow):
    """The cells of one stage of one pipeline."""

    __slots__ = (
        "_labels",
        "_oldest_running",
        "_oldest_waiting",
        "_table",
        "held_up",
        "name",
        "retries",
        "running_ages",
        "shown",
        "transitions",
        "waiting_ages",
    )

    def __init__(self, table: SeriesTable, pipeline: str, stage: str, name: str) -> None:
        """``name`` is what producers call it; empty for the one that stands for all above the limit."""
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
        self.shown = stage
        self.retries = table.cell(c.STAGE_RETRIES, pipeline, stage)
        self.held_up = zeroed(table.cell(c.STAGE_HELD_UP, pipeline, stage))
        self._oldest_waiting = table.cell(c.STAGE_OLDEST_WAITING, pipeline, stage)
        self._oldest_running = table.cell(c.STAGE_OLDEST_RUNNING, pipeline, stage)
        self.waiting_ages = Ages(waiting=True)
        self.running_ages = Ages(waiting=False)
        self.transitions: dict[str, Cell] = {}

    def _make_time(self, outcome: str) -> HistogramCell:
        return self._table.cell(c.STAGE_RUN_TIME, *self._labels, outcome)

    def settle(self) -> int:
        negative = super().settle()
        if self._labels[0] == OVERFLOW:  # pipelines above the limit share cells, so nobody knows their oldest
            self.waiting_ages.fresh.clear()
            self.running_ages.fresh.clear()
        else:
            self._oldest_waiting.set(self.waiting_ages.oldest(self.waiting.value or 0))
            self._oldest_running.set(self.running_ages.oldest(self.in_progress.value or 0))
        return negative


class PipelineSeries(Flow):
    """The cells of one pipeline, its stages and its cards in flight."""

    __slots__ = (
        "_label",
        "_overflow_stage",
        "_table",
        "cards",
        "changed",
        "last_activity",
        "latest",
        "name",
        "shown",
        "stages",
    )

    def __init__(self, table: SeriesTable, label: Label, name: str) -> None:
        shown = label(("pipeline",), name)
        super().__init__(
            queued=table.cell(c.CARDS_QUEUED, shown),
            started=table.cell(c.CARDS_STARTED, shown),
            finished=Outcomes(table, c.CARDS_FINISHED, pipeline=shown),
            wait=table.cell(c.CARD_WAIT, shown),
            waiting=table.cell(c.CARDS_WAITING, shown),
            running=table.cell(c.CARDS_IN_PROGRESS, shown),
        )
        self._table = table
        self._label = label
        self.name = name
        self.shown = shown
        self.last_activity = table.cell(c.LAST_ACTIVITY, shown)
        self.latest = NEVER  # event time of the newest activity
        self.cards: dict[str, Card] = {}
        self.changed: dict[str, Card] = {}  # since the last commit
        self.stages: dict[str, StageSeries] = {}
        self._overflow_stage: StageSeries | None = None

    def _make_time(self, outcome: str) -> HistogramCell:
        return self._table.cell(c.CARD_PROCESSING, self.shown, outcome)

    def stage(self, name: str) -> StageSeries:
        found = self.stages.get(name)
        if found is None:
            shown = self._label(("stage", self.shown), name)
            if shown == OVERFLOW:
                return self._overflow()
            found = self.stages[name] = StageSeries(self._table, self.shown, shown, name)
        return found

    def _overflow(self) -> StageSeries:
        if self._overflow_stage is None:
            self._overflow_stage = StageSeries(self._table, self.shown, OVERFLOW, "")
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

    def active(self, time: datetime) -> None:
        """Note activity at ``time``."""
        if time > self.latest:
            self.latest = time

    def settle(self) -> int:
        if self.latest > NEVER:
            shown, latest = self.last_activity.value, self.latest.timestamp()
            if shown is None or latest > shown:
                self.last_activity.set(latest)
        return super().settle()


def zeroed(gauge: Cell) -> Cell:
    """A gauge that counts something: 0, not absent, when there is nothing."""
    if gauge.value is None:
        gauge.set(0)
    return gauge
