"""The working state of one partition: its series, cards, sessions and ids, and what changed since the last commit.

`restore` fills it from stored state, `changes` drains what a commit writes, `expiry` drops old entries.
"""

from collections import deque
from datetime import datetime

from jelmon import catalogue as c
from jelmon.events import EVENT_TYPES, Envelope
from jelmon_exporter.counting.accumulator import Accumulator, Outcomes
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.deduplication import DeduplicationWindow
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.pipeline_series import PipelineSeries
from jelmon_exporter.series.cells import MICROSECOND, OVERFLOW, Cell, HistogramCell, SeriesTable
from jelmon_exporter.state.lifecycle import Lifecycle
from jelmon_exporter.state.model import (
    Card,
    Declaration,
    Session,
    entry_key,
    stage_of,
)


class Ledger:
    """The working state. Handlers of events change it; `changes.drain` returns what to commit."""

    def __init__(self, *, limits: Limits, admission: Admission) -> None:
        self.limits = limits
        self.admission = admission
        self.table = SeriesTable()
        self.deduplication = DeduplicationWindow(seconds=limits.deduplication_seconds, limit=limits.deduplication_ids)
        self.pipelines: dict[str, PipelineSeries] = {}
        self.overflow: PipelineSeries | None = None  # the first pipeline above the label limit, whose series all share
        self.overflowing: dict[str, None] = {}  # pipelines above the limit, oldest first
        self.sessions: dict[str, Session] = {}
        self.declared: dict[str, Declaration] = {}
        self.outcome_counters: dict[tuple[str, ...], Outcomes] = {}  # cells by metric and labels, looked up once
        self.now = 0.0  # arrival of the newest message, by the stream's clock
        self.applied = {kind: self.table.cell(c.EVENTS_APPLIED, name) for name, kind in EVENT_TYPES.items()}
        self.duplicate = self.table.cell(c.EVENTS_DUPLICATE)
        self.late = self.table.cell(c.EVENTS_LATE)
        self.skewed = self.table.cell(c.EVENTS_SKEWED)
        self.lost = self.table.cell(c.EVENTS_LOST)
        self.parked: dict[str, Cell] = {
            reason: self.table.cell(c.EVENTS_PARKED, reason) for reason in c.EVENTS_PARKED.closed["reason"]
        }
        self.stream_changes: dict[str, Cell] = {
            reason: self.table.cell(c.STREAM_CHANGES, reason) for reason in c.STREAM_CHANGES.closed["reason"]
        }
        self.finished: deque[tuple[float, Card | Session]] = deque()  # oldest first, with the time it was noted
        self.newly_declared: dict[str, Declaration] = {}
        self.busy: list[Accumulator] = []
        self.changed_sessions: dict[str, Session] = {}
        self.removed: dict[str, None] = {}
        self.swept = 0.0  # when `expiry` last examined everything
        self.traced = False  # an event since the last drain named its trace

    # --- look-ups ---

    def pipeline(self, name: str) -> PipelineSeries:
        """Return the series of a pipeline, created on first use."""
        series = self.pipelines.get(name)
        if series is None:
            label = self._admit(("pipeline",), name)
            if label == OVERFLOW and self.overflow is not None:
                series = PipelineSeries.above_the_limit(self.overflow, name)
            else:
                series = PipelineSeries(self.table, self._admit, name, label)
            if label == OVERFLOW:
                self.overflow = self.overflow or series
                self.overflowing[name] = None
            self.pipelines[name] = series
        return series

    def label(self, label: str, value: str) -> str:
        """Return the value to expose for a label that is not scoped by another one."""
        return self._admit((label,), value)

    def _admit(self, scope: tuple[str, ...], value: str) -> str:
        return self.admission.admit(scope, value, self)

    def outcomes(self, metric: c.Counter, **known: str) -> Outcomes:
        """Return the cells of a counter for all values of its closed last label."""
        key = (metric.name, *known.values())
        counter = self.outcome_counters.get(key)
        if counter is None:
            counter = self.outcome_counters[key] = Outcomes(self.table, metric, **known)
        return counter

    # --- durations ---

    def elapsed(self, start: datetime, end: datetime) -> int:
        """Return the microseconds between event times; a negative span (clock skew) is counted and becomes 0."""
        if end < start:
            self.skewed.add()
            return 0
        return (end - start) // MICROSECOND

    def observe(self, histogram: HistogramCell, start: datetime, end: datetime, event: Envelope) -> None:
        """Count a duration that ends with the event, with the event's trace as exemplar."""
        elapsed = self.elapsed(start, end)
        histogram.observe(elapsed)
        if event.traceparent is not None:
            histogram.exemplify(elapsed, event.traceparent, end)
            self.traced = True

    # --- changes ---

    def mark_busy(self, *accumulators: Accumulator) -> None:
        """Mark accumulators for the next flush; a stage always with its pipeline, which has the changed cards."""
        for accumulator in accumulators:
            if not accumulator.busy:
                accumulator.busy = True
                self.busy.append(accumulator)

    def mark_changed(self, session: Session) -> None:
        """Mark a session for the next commit. Changed cards are listed in their pipeline."""
        self.changed_sessions[session.id] = session

    def mark_finished(self, entry: Card | Session) -> None:
        """Mark an entry as finished; it is dropped after `Limits.finished_seconds`."""
        self.finished.append((self.now, entry))

    def declare(self, pipeline: str, declaration: Declaration) -> bool:
        """Store a declaration unless a newer one is known, and create the series of its stages.

        A pipeline above the label limit has no gauges, so its declaration is ignored.
        """
        if self.pipeline(pipeline).label == OVERFLOW:
            return True
        known = self.declared.get(pipeline)
        if known is not None and known.time > declaration.time:
            return False
        self.declared[pipeline] = self.newly_declared[pipeline] = declaration
        series = self.pipeline(pipeline)
        for stage in declaration.data.stages:
            series.stage(stage.stage)
        return True

    def close_card(self, pipeline: PipelineSeries, card: Card) -> None:
        """Remove a card and its open runs from the gauges."""
        if card.live:
            if card.started is not None:
                pipeline.running_delta -= 1
            else:
                pipeline.waiting_delta -= 1
            card.live = False
            if not pipeline.busy:
                self.mark_busy(pipeline)
        for key, life in card.runs.items():
            if life.live:
                self.close_run(pipeline, stage_of(key), life)
        for stage in card.held or ():
            pipeline.stage(stage).held_up.add(-1)
        card.held = None

    def close_run(self, pipeline: PipelineSeries, stage: str, life: Lifecycle) -> None:
        """Remove a run from the gauges."""
        series = pipeline.stage(stage)
        (series.in_progress if life.started is not None else series.waiting).add(-1)
        life.live = False
        self.mark_busy(pipeline, series)  # the oldest may be another now

    def remove(self, entry: Card | Session) -> None:
        """Remove a card or session from the state."""
        if isinstance(entry, Card):
            pipeline = self.pipelines.get(entry.pipeline)
            if pipeline is None or pipeline.cards.pop(entry.id, None) is None:
                return
        elif self.sessions.pop(entry.id, None) is None:
            return
        self.removed[entry_key(entry)] = None

    def flush(self) -> None:
        """Update the cells of all busy accumulators."""
        negative = sum(accumulator.flush() for accumulator in self.busy)
        if negative:
            self.skewed.add(negative)
        self.busy.clear()
