"""Events of sessions. Each handler returns False if the event only repeats what is known."""

from datetime import datetime

from jelmon import catalogue as c
from jelmon.events import SessionFinished, SessionStarted
from jelmon_exporter.counting.accumulator import zeroed
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.series.cells import Cell
from jelmon_exporter.state.lifecycle import EventOrder, Step, classify
from jelmon_exporter.state.model import Session


def session_started(ledger: Ledger, event: SessionStarted, time: datetime) -> bool:
    kind = ledger.label("kind", event.data.kind)
    session, order = _session_order(ledger, event.subject, event.data.kind, Step.STARTED, time)
    if order is EventOrder.DUPLICATE:
        return False
    active = _active(ledger, kind)
    ledger.table.cell(c.SESSIONS_STARTED, kind).add()
    if order is EventOrder.BACKFILL:
        session.started = time
        if session.finished is not None:
            ledger.table.cell(c.SESSION_TIME, kind).observe(ledger.elapsed(time, session.finished))
    elif order is not EventOrder.STALE:
        if session.live:
            active.add(-1)
        session.started, session.finished, session.live = time, None, True
        active.add()
    return True


def session_finished(ledger: Ledger, event: SessionFinished, time: datetime) -> bool:
    kind = ledger.label("kind", event.data.kind)
    session, order = _session_order(ledger, event.subject, event.data.kind, Step.FINISHED, time)
    if order is EventOrder.DUPLICATE:
        return False
    active = _active(ledger, kind)
    ledger.outcomes(c.SESSIONS_FINISHED, kind=kind).add(event.data.outcome)
    if order is EventOrder.STALE:
        return True
    if order is EventOrder.NEXT and session.started is not None:
        ledger.table.cell(c.SESSION_TIME, kind).observe(ledger.elapsed(session.started, time))
    if session.live:
        active.add(-1)
        session.live = False
    if order is EventOrder.NEW:
        session.started = None
    session.finished, session.outcome = time, event.data.outcome.value
    ledger.mark_finished(session)
    return True


def _active(ledger: Ledger, kind: str) -> Cell:
    ledger.outcomes(c.SESSIONS_FINISHED, kind=kind)
    return zeroed(ledger.table.cell(c.SESSIONS_ACTIVE, kind))


def _session_order(
    ledger: Ledger, session_id: str, kind: str, step: Step, time: datetime
) -> tuple[Session, EventOrder]:
    session = ledger.sessions.get(session_id)
    if session is None:
        session = ledger.sessions[session_id] = Session(id=session_id, kind=kind)
        ledger.mark_changed(session)
        return session, EventOrder.NEXT
    order = classify(session, step, time)
    if order is EventOrder.BACKFILL or order is EventOrder.STALE:
        ledger.late.add()
    if order is not EventOrder.DUPLICATE:
        ledger.mark_changed(session)
    return session, order
