"""Applies events to a ledger: no parsing, no I/O, no clock. `HANDLERS` is the table of what each event does."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from jelmon import events as e
from jelmon_exporter.counting.handlers import cards, operations, quality, sessions, stages
from jelmon_exporter.counting.ledger import Ledger

_END = datetime.max.replace(tzinfo=UTC).timestamp() - 1.0

AHEAD_SECONDS = 900
"""How far a producer's clock may be ahead of the stream's. A later time is cut to this: otherwise one event with a date
far in the future would remain the newest activity, and its durations would spoil their sums."""

Handler = Callable[[Ledger, Any, datetime], bool]

HANDLERS: dict[type[e.Envelope], Handler] = {
    e.CardQueued: cards.card_queued,
    e.CardStarted: cards.card_started,
    e.CardFinished: cards.card_finished,
    e.StageQueued: stages.stage_queued,
    e.StageStarted: stages.stage_started,
    e.StageFinished: stages.stage_finished,
    e.StageRetried: stages.stage_retried,
    e.GateEvaluated: quality.gate_evaluated,
    e.TestFinished: quality.finished_test,
    e.ScanFinished: quality.scan_finished,
    e.SessionStarted: sessions.session_started,
    e.SessionFinished: sessions.session_finished,
    e.CallFinished: operations.call_finished,
    e.ActionRequested: operations.action_requested,
    e.ActionFinished: operations.action_finished,
    e.WorkRecorded: operations.work_recorded,
    e.PipelineDeclared: operations.pipeline_declared,
}
"""The handler of each kind of event. A new kind is a row here."""


class Tracker:
    """Applies events to one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def apply(self, events: Collection[e.Event]) -> None:
        """Count each event once: those in the deduplication window, and repeated steps, count as duplicates."""
        ledger, handlers = self.ledger, HANDLERS
        if not ledger.deduplication.admit(events):
            events = self._without_duplicates(events)
        latest = datetime.fromtimestamp(min(ledger.now + AHEAD_SECONDS, _END), UTC)
        for event in events:
            time = event.time
            if time > latest:
                time = latest
                ledger.skewed.add()
            if not handlers[event.__class__](ledger, event, time):
                ledger.duplicate.add()
                ledger.applied[event.__class__].add(-1)
        for kind, number in Counter(map(type, events)).items():
            ledger.applied[kind].add(number)

    def _without_duplicates(self, events: Collection[e.Event]) -> list[e.Event]:
        """Return the new events, which are known from now on; count the others as duplicates."""
        unknown = []
        for event in events:
            if self.ledger.deduplication.admit([event]):
                unknown.append(event)
            else:
                self.ledger.duplicate.add()
        return unknown
