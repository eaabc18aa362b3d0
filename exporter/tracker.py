"""Turns an event into changes of a ledger: no parsing, no I/O, no clock of its own."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from jelmon import events as e
from jelmon.exporter import flow, tally
from jelmon.exporter.ledger import Ledger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

AHEAD_SECONDS = 900
"""How far a producer's clock may be ahead of the stream's. Times beyond count as this far: a single event of a distant
year would otherwise be the newest activity for ever, and its durations would spoil their sums."""

Handler = Callable[[Ledger, Any, int], bool]

HANDLERS: dict[type[e.Envelope], Handler] = {
    e.CardQueued: flow.card_queued,
    e.CardStarted: flow.card_started,
    e.CardFinished: flow.card_finished,
    e.StageQueued: flow.stage_queued,
    e.StageStarted: flow.stage_started,
    e.StageFinished: flow.stage_finished,
    e.StageRetried: flow.stage_retried,
    e.GateEvaluated: tally.gate_evaluated,
    e.TestFinished: tally.finished_test,
    e.ScanFinished: tally.scan_finished,
    e.SessionStarted: tally.session_started,
    e.SessionFinished: tally.session_finished,
    e.CallFinished: tally.call_finished,
    e.ActionRequested: tally.action_requested,
    e.ActionFinished: tally.action_finished,
    e.WorkRecorded: tally.work_recorded,
    e.PipelineDeclared: tally.pipeline_declared,
}
"""What each kind of event does. A new kind is a line here."""


class Tracker:
    """Applies events to one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._actions = {kind: (HANDLERS[kind], applied) for kind, applied in ledger.applied.items()}

    def apply(self, events: Iterable[e.Event]) -> None:
        """Count each event, once: a known id, and a step that is known already, count as duplicates."""
        ledger, actions = self.ledger, self._actions
        known, fresh = ledger.horizon.known, ledger.horizon.fresh
        latest = int((ledger.now + AHEAD_SECONDS) * 1e6)
        for event in events:
            event_id = event.id
            if event_id not in known:
                known.add(event_id)
                fresh.append(event_id)
                handler, applied = actions[type(event)]
                time = (event.time - _EPOCH) // _MICROSECOND
                if time > latest:
                    time = latest
                    ledger.skewed.add()
                if handler(ledger, event, time):
                    applied.add()
                    continue
            ledger.duplicate.add()
