"""Turns an event into changes of a ledger: no parsing, no I/O, no clock of its own."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from jelmon import events as e
from jelmon_exporter.counting.handlers import cards, operations
from jelmon_exporter.counting.ledger import Ledger

_END = datetime.max.replace(tzinfo=UTC).timestamp() - 1.0

AHEAD_SECONDS = 900
"""How far a producer's clock may be ahead of the stream's. Times beyond count as this far: a single event of a distant
year would otherwise be the newest activity for ever, and its durations would spoil their sums."""

Handler = Callable[[Ledger, Any, datetime], bool]

HANDLERS: dict[type[e.Envelope], Handler] = {
    e.CardQueued: cards.card_queued,
    e.CardStarted: cards.card_started,
    e.CardFinished: cards.card_finished,
    e.StageQueued: cards.stage_queued,
    e.StageStarted: cards.stage_started,
    e.StageFinished: cards.stage_finished,
    e.StageRetried: cards.stage_retried,
    e.GateEvaluated: operations.gate_evaluated,
    e.TestFinished: operations.finished_test,
    e.ScanFinished: operations.scan_finished,
    e.SessionStarted: operations.session_started,
    e.SessionFinished: operations.session_finished,
    e.CallFinished: operations.call_finished,
    e.ActionRequested: operations.action_requested,
    e.ActionFinished: operations.action_finished,
    e.WorkRecorded: operations.work_recorded,
    e.PipelineDeclared: operations.pipeline_declared,
}
"""What each kind of event does. A new kind is a line here."""


class Tracker:
    """Applies events to one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def apply(self, events: Collection[e.Event]) -> None:
        """Count each event, once: a known id, and a step that is known already, count as duplicates."""
        ledger, handlers = self.ledger, HANDLERS
        if not ledger.horizon.admit([event.id for event in events]):
            events = self._unknown(events)
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

    def _unknown(self, events: Collection[e.Event]) -> list[e.Event]:
        """The events whose ids are not known; they are known from now on."""
        unknown = []
        for event in events:
            if self.ledger.horizon.admit([event.id]):
                unknown.append(event)
            else:
                self.ledger.duplicate.add()
        return unknown
