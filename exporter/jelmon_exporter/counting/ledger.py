"""One partition while it is counted: its series, cards, sessions and ids, and what changed since the last commit."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

from jelmon import catalogue as c
from jelmon.events import EVENT_TYPES
from jelmon_exporter.counting.pipeline_series import Admission, Flow, Outcomes, PipelineSeries
from jelmon_exporter.series.cells import MICROSECOND, OVERFLOW, Cell, HistogramCell, SeriesTable, real
from jelmon_exporter.state.lifecycle import Life
from jelmon_exporter.state.model import (
    Card,
    Changes,
    Declaration,
    Horizon,
    Session,
    Snapshot,
    card_key,
    decode_entry,
    encode_entry,
    session_key,
    stage_of,
)

_NEVER_IDLE = ("outcome", "type", "metric")
_SCOPED = {"stage": ("pipeline",), "from_stage": ("pipeline",), "to_stage": ("pipeline",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the memory of a partition."""

    label_values: int = 200  # values of one label (stages: of one pipeline) that get series of their own
    horizon_seconds: float = 600.0
    horizon_ids: int = 1_000_000
    retention_seconds: float = 7 * 86400.0  # a card without events for so long is given up
    idle_seconds: float = 86400.0  # series without a change for so long are dropped
    afterlife_seconds: float = 900.0  # how long a finished card is remembered for late events
    afterlife_entries: int = 200_000

    def share(self, partitions: int) -> "Limits":
        """One partition's share of what is limited by number."""
        return replace(
            self,
            horizon_ids=max(1000, self.horizon_ids // partitions),
            afterlife_entries=max(1000, self.afterlife_entries // partitions),
        )


class Ledger:
    """The working state. Only `take` may be followed by a commit; what it returns is absolute."""

    def __init__(self, *, limits: Limits, admission: Admission) -> None:
        self.limits = limits
        self.admission = admission
        self.table = SeriesTable()
        self.horizon = Horizon(seconds=limits.horizon_seconds, limit=limits.horizon_ids)
        self.pipelines: dict[str, PipelineSeries] = {}
        self.sessions: dict[str, Session] = {}
        self.declared: dict[str, Declaration] = {}
        self.tallies: dict[tuple[str, ...], Outcomes] = {}  # cells found once, by what they count (tally.py)
        self.now = 0.0  # when the newest message arrived, by the stream's clock
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
        self._busy: list[Flow] = []
        self._changed_sessions: dict[str, Session] = {}
        self._gone: dict[str, None] = {}
        self._newly_declared: dict[str, Declaration] = {}
        self._over: deque[tuple[float, Card | Session]] = deque()
        self._swept = 0.0
        self.traced = False  # whether an event of the batch named its trace

    # --- finding things ---

    def pipeline(self, name: str) -> PipelineSeries:
        found = self.pipelines.get(name)
        if found is None:
            found = self.pipelines[name] = PipelineSeries(self.table, self._label, name)
        return found

    def label(self, label: str, value: str) -> str:
        """The value of a label that stands by itself, as it is shown."""
        return self._label((label,), value)

    def _label(self, scope: tuple[str, ...], value: str) -> str:
        return self.admission.label(scope, value, self)

    def elapsed(self, start: datetime, end: datetime) -> int:
        """Microseconds between event times; negative is 0 and counted, as clocks of two producers may differ."""
        if end < start:
            self.skewed.add()
            return 0
        return (end - start) // MICROSECOND

    # --- noting changes ---

    def note(self, *flows: Flow) -> None:
        """Note that flows have something to settle; with a stage always its pipeline, which has the changed cards."""
        for flow in flows:
            if not flow.busy:
                flow.busy = True
                self._busy.append(flow)

    def touch(self, session: Session) -> None:
        """Note that a session changed. Changed cards stand with their pipeline."""
        self._changed_sessions[session.id] = session

    def over(self, entry: Card | Session) -> None:
        """Note that an entry is finished: it is forgotten after a while."""
        self._over.append((self.now, entry))

    def declare(self, pipeline: str, declaration: Declaration) -> bool:
        """Take a declaration unless a newer one is known; the series of its stages exist from now on.

        One of a pipeline above the limit has no gauges that it could set.
        """
        if self.pipeline(pipeline).shown == OVERFLOW:
            return True
        known = self.declared.get(pipeline)
        if known is not None and known.time > declaration.time:
            return False
        self.declared[pipeline] = self._newly_declared[pipeline] = declaration
        series = self.pipeline(pipeline)
        for stage in declaration.data.stages:
            series.stage(stage.stage)
        return True

    # --- commit and restore ---

    def take(self) -> Changes:
        """What changed since the last call."""
        entries = self._take_entries()
        self._forget()
        for key in self._gone:  # only `_forget`, above, removes: nothing can have come back since
            entries[key] = None
        self._gone.clear()
        self._settle()  # what was forgotten may have counted
        changes = Changes(series=self.table.take(self.now), entries=entries, declared=self._newly_declared)
        self._newly_declared = {}
        if self.traced:
            changes.exemplars = self.table.take_exemplars(changes.series)
            self.traced = False
        changes.ids, changes.forgotten = self.horizon.take(self.now)
        return changes

    def _take_entries(self) -> dict[str, bytes | None]:
        """The cards and sessions that changed since the last call."""
        now = self.now
        entries: dict[str, bytes | None] = {}
        for flow in self._busy:
            if isinstance(flow, PipelineSeries) and flow.changed:
                prefix = card_key(flow.name, "")
                for card_id, card in flow.changed.items():
                    card.touched = now
                    entries[prefix + card_id] = encode_entry(card)
                flow.changed.clear()
        for session in self._changed_sessions.values():
            session.touched = now
            entries[session_key(session.id)] = encode_entry(session)
        self._changed_sessions.clear()
        self._settle()
        return entries

    def _settle(self) -> None:
        """Bring the cells of all busy flows up to date."""
        negative = sum(flow.settle() for flow in self._busy)
        if negative:
            self.skewed.add(negative)
        self._busy.clear()

    def whole(self) -> Changes:
        """Everything, as if it had all changed; for a store that fell back."""
        changes = self.take()
        changes.series = {key: cell.snapshot() for key, cell in self.table.cells.items()}
        cards = (card for pipeline in self.pipelines.values() for card in pipeline.cards.values())
        everyone: list[Card | Session] = [*cards, *self.sessions.values()]
        for entry in everyone:
            changes.entries[_key(entry)] = encode_entry(entry)
        changes.declared = dict(self.declared)
        changes.ids, changes.forgotten = self.horizon.collapse(self.now), 0
        return changes

    def restore(self, snapshot: Snapshot) -> None:
        """Take up what a predecessor committed."""
        for (name, labels), value in snapshot.series.items():
            metric = c.BY_NAME.get(name)
            if metric is not None and len(labels) == len(metric.labels):  # else: of an older version
                self._readmit(metric, labels)
                self.table.restore(metric, labels, value)
        self.table.settle(snapshot.series, snapshot.position.time)
        for stored in snapshot.entries.values():
            entry = decode_entry(stored)
            self.now = max(self.now, getattr(entry, "touched", 0.0))
            if isinstance(entry, Card):
                self._restore_card(entry)
            elif isinstance(entry, Session):
                self.sessions[entry.id] = entry
                if entry.finished is not None:
                    self._over.append((entry.touched, entry))
        self._over = deque(sorted(self._over, key=lambda item: item[0]))
        for pipeline, declaration in snapshot.declared.items():
            self.declare(pipeline, declaration)
        self._newly_declared = {}
        self.horizon.restore(snapshot.ids)

    def _readmit(self, metric: c.Metric, labels: tuple[str, ...]) -> None:
        named = dict(zip(metric.labels, labels, strict=True))
        for label, value in named.items():
            if label not in metric.closed and label not in ("type", "metric"):
                scope = tuple(named[parent] for parent in _SCOPED.get(label, ()))
                self.admission.readmit(("stage" if scope else label, *scope), value, self)

    def _restore_card(self, card: Card) -> None:
        pipeline = self.pipeline(card.pipeline)
        pipeline.cards[card.id] = card
        if card.finished is not None:
            self._over.append((card.touched, card))
        for key, life in card.runs.items():
            if life.live and life.started is not None:
                pipeline.stage(stage_of(key)).running_ages.fresh.append(life)
            elif life.live and life.queued is not None:
                pipeline.stage(stage_of(key)).waiting_ages.fresh.append(life)

    # --- forgetting ---

    def _forget(self) -> None:
        """Drop what is finished for long enough, and from time to time what was given up."""
        limits, over = self.limits, self._over
        while over and (over[0][0] < self.now - limits.afterlife_seconds or len(over) > limits.afterlife_entries):
            noted, entry = over.popleft()
            if entry.finished is not None and entry.touched <= noted:
                self._remove(entry)
            elif entry.finished is not None:
                over.append((entry.touched, entry))
        if self.now > self._swept + 600:
            self._swept = self.now
            self._sweep()

    def _sweep(self) -> None:
        limits = self.limits
        given_up, idle = self.now - limits.retention_seconds, self.now - limits.afterlife_seconds
        for name, pipeline in list(self.pipelines.items()):
            for card in list(pipeline.cards.values()):
                nothing_open = card.queued is None and card.started is None and not _has_live_runs(card)
                if card.touched < given_up or (nothing_open and card.touched < idle):
                    self.close(pipeline, card)
                    self._remove(card)
            if pipeline.shown == OVERFLOW and not pipeline.cards:
                del self.pipelines[name]
        self._settle()
        self._drop_idle()
        for session in [one for one in self.sessions.values() if one.touched < given_up]:
            if session.live:
                self.table.cell(c.SESSIONS_ACTIVE, self.label("kind", session.kind)).add(-1)
                session.live = False
            self._remove(session)

    def _drop_idle(self) -> None:
        """Drop the series of stages, targets and so on of which nothing was heard for long, to make room for others."""
        groups: dict[tuple[tuple[str, str], ...], list[Cell | HistogramCell]] = {}
        for (name, labels), cell in self.table.cells.items():
            group = tuple(
                (label, value)
                for label, value in zip(c.BY_NAME[name].labels, labels, strict=True)
                if label not in _NEVER_IDLE and label not in c.BY_NAME[name].closed
            )
            if group:
                groups.setdefault(group, []).append(cell)
        declared = {
            (("pipeline", real(pipeline)), ("stage", real(stage.stage)))
            for pipeline, declaration in self.declared.items()
            for stage in declaration.data.stages
        }
        idle = self.now - self.limits.idle_seconds
        gone = {
            group
            for group, cells in groups.items()
            if group not in declared and all(_is_idle(cell, idle) for cell in cells)
        }
        busy = {group[0] for group in groups if len(group) > 1 and group not in gone}
        busy |= {("pipeline", one.shown) for one in self.pipelines.values() if one.cards}
        busy |= {("pipeline", real(name)) for name in self.declared}
        for group in gone:
            if len(group) > 1 or group[0] not in busy:
                for cell in groups[group]:
                    self.table.drop(cell.key)
                self._dismiss(dict(group))

    def _dismiss(self, labels: dict[str, str]) -> None:
        """Make room for another value of a label, and let go of whatever points at dropped cells."""
        self.tallies.clear()
        match labels:
            case {"pipeline": shown, "stage": stage}:
                for pipeline in self.pipelines.values():
                    if pipeline.shown == shown:
                        pipeline.forget_stages({stage})
                self.admission.dismiss(("stage", shown), stage, self)
            case {"pipeline": shown, "from_stage": _}:
                for pipeline in self.pipelines.values():
                    if pipeline.shown == shown:
                        pipeline.forget_stages(set())
            case _:
                label, shown = list(labels.items())[-1]
                if label == "pipeline":
                    self.pipelines = {name: one for name, one in self.pipelines.items() if one.shown != shown}
                if not any(shown in labels for _, labels in self.table.cells):
                    self.admission.dismiss((label,), shown, self)

    def close(self, pipeline: PipelineSeries, card: Card) -> None:
        """Take a card and its open runs out of the gauges."""
        if card.live:
            if card.started is not None:
                pipeline.more_running -= 1
            else:
                pipeline.more_waiting -= 1
            card.live = False
            if not pipeline.busy:
                self.note(pipeline)
        for key, life in card.runs.items():
            if life.live:
                self.close_run(pipeline, stage_of(key), life)
        for stage in card.held or ():
            pipeline.stage(stage).held_up.add(-1)
        card.held = None

    def close_run(self, pipeline: PipelineSeries, stage: str, life: Life) -> None:
        """Take a run out of the gauges."""
        series = pipeline.stage(stage)
        (series.in_progress if life.started is not None else series.waiting).add(-1)
        life.live = False
        self.note(pipeline, series)  # the oldest may be another now

    def _remove(self, entry: Card | Session) -> None:
        if isinstance(entry, Card):
            pipeline = self.pipelines.get(entry.pipeline)
            if pipeline is None or pipeline.cards.pop(entry.id, None) is None:
                return
        elif self.sessions.pop(entry.id, None) is None:
            return
        self._gone[_key(entry)] = None


def _is_idle(cell: Cell | HistogramCell, since: float) -> bool:
    """Whether a series did not change since then, and does not count things that are there now."""
    return not cell.dirty and cell.changed_at < since and not (cell.key[0] in _PRESENT and cell.snapshot())


_PRESENT = {
    metric.name
    for metric in (
        c.CARDS_WAITING,
        c.CARDS_IN_PROGRESS,
        c.STAGE_QUEUE_DEPTH,
        c.STAGE_IN_PROGRESS,
        c.STAGE_HELD_UP,
        c.SESSIONS_ACTIVE,
    )
}


def _has_live_runs(card: Card) -> bool:
    return any(life.live for life in card.runs.values())


def _key(entry: Card | Session) -> str:
    return card_key(entry.pipeline, entry.id) if isinstance(entry, Card) else session_key(entry.id)
