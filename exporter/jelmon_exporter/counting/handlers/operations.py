"""What all other events do to a ledger: mostly they count something. Each handler returns False for a repetition."""

from datetime import datetime

from jelmon import catalogue as c
from jelmon.events import (
    ActionFinished,
    ActionRequested,
    CallFinished,
    GateEvaluated,
    PipelineDeclared,
    ScanFinished,
    SessionFinished,
    SessionStarted,
    TestFinished,
    TestOutcome,
    WorkRecorded,
)
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.pipeline_series import Outcomes, zeroed
from jelmon_exporter.series.cells import Cell
from jelmon_exporter.state.lifecycle import Place, Step, place
from jelmon_exporter.state.model import Declaration, Session


def gate_evaluated(ledger: Ledger, event: GateEvaluated, _time: datetime) -> bool:
    data = event.data
    pipeline = ledger.label("pipeline", data.pipeline)
    gate = ledger.label("gate", data.gate)
    _outcomes(ledger, c.GATE_EVALUATIONS, pipeline=pipeline, gate=gate).add(data.verdict)
    return True


def finished_test(ledger: Ledger, event: TestFinished, _time: datetime) -> bool:
    data = event.data
    pipeline = ledger.label("pipeline", data.pipeline)
    category = ledger.label("category", data.category)
    _outcomes(ledger, c.TESTS_FINISHED, pipeline=pipeline, category=category).add(data.outcome)
    if data.duration_seconds is not None:
        ledger.table.cell(c.TEST_TIME, pipeline, category).observe_seconds(data.duration_seconds)
    if data.outcome in (TestOutcome.FAILED, TestOutcome.ERROR):
        reason = ledger.label("reason", data.failure_reason or "unknown")
        ledger.table.cell(c.TEST_FAILURES, pipeline, category, reason).add()
    return True


def scan_finished(ledger: Ledger, event: ScanFinished, _time: datetime) -> bool:
    data = event.data
    pipeline = ledger.label("pipeline", data.pipeline)
    scanner = ledger.label("scanner", data.scanner)
    _outcomes(ledger, c.SCANS_FINISHED, pipeline=pipeline, scanner=scanner).add(data.outcome)
    findings = _outcomes(ledger, c.SCAN_FINDINGS, pipeline=pipeline, scanner=scanner)
    for severity, number in data.findings.items():
        findings.by_value[severity].add(number)
    if data.duration_seconds is not None:
        ledger.table.cell(c.SCAN_TIME, pipeline, scanner).observe_seconds(data.duration_seconds)
    return True


def session_started(ledger: Ledger, event: SessionStarted, time: datetime) -> bool:
    kind = ledger.label("kind", event.data.kind)
    session, found = _place_session(ledger, event.subject, event.data.kind, Step.STARTED, time)
    if found is Place.REPEATED:
        return False
    active = _sessions(ledger, kind)
    ledger.table.cell(c.SESSIONS_STARTED, kind).add()
    if found is Place.MISSING:
        session.started = time
        if session.finished is not None:
            ledger.table.cell(c.SESSION_TIME, kind).observe(ledger.elapsed(time, session.finished))
    elif found is not Place.STALE:
        if session.live:
            active.add(-1)
        session.started, session.finished, session.live = time, None, True
        active.add()
    return True


def session_finished(ledger: Ledger, event: SessionFinished, time: datetime) -> bool:
    kind = ledger.label("kind", event.data.kind)
    session, found = _place_session(ledger, event.subject, event.data.kind, Step.FINISHED, time)
    if found is Place.REPEATED:
        return False
    active = _sessions(ledger, kind)
    _outcomes(ledger, c.SESSIONS_FINISHED, kind=kind).add(event.data.outcome)
    if found is Place.STALE:
        return True
    if found is Place.NEXT and session.started is not None:
        ledger.table.cell(c.SESSION_TIME, kind).observe(ledger.elapsed(session.started, time))
    if session.live:
        active.add(-1)
        session.live = False
    if found is Place.NEW:
        session.started = None
    session.finished, session.outcome = time, event.data.outcome.value
    ledger.over(session)
    return True


def _sessions(ledger: Ledger, kind: str) -> Cell:
    _outcomes(ledger, c.SESSIONS_FINISHED, kind=kind)
    return zeroed(ledger.table.cell(c.SESSIONS_ACTIVE, kind))


def _place_session(ledger: Ledger, session_id: str, kind: str, step: Step, time: datetime) -> tuple[Session, Place]:
    session = ledger.sessions.get(session_id)
    if session is None:
        session = ledger.sessions[session_id] = Session(id=session_id, kind=kind)
        ledger.touch(session)
        return session, Place.NEXT
    found = place(session, step, time)
    if found is Place.MISSING or found is Place.STALE:
        ledger.late.add()
    if found is not Place.REPEATED:
        ledger.touch(session)
    return session, found


def call_finished(ledger: Ledger, event: CallFinished, _time: datetime) -> bool:
    data = event.data
    target = ledger.label("target", data.target)
    _outcomes(ledger, c.CALLS_FINISHED, target=target).add(data.outcome)
    ledger.table.cell(c.CALL_TIME, target).observe_seconds(data.duration_seconds)
    if data.error is not None:
        ledger.table.cell(c.CALL_ERRORS, target, ledger.label("reason", data.error)).add()
    return True


def action_requested(ledger: Ledger, event: ActionRequested, _time: datetime) -> bool:
    action = ledger.label("action", event.data.action)
    _outcomes(ledger, c.ACTIONS_FINISHED, action=action)
    ledger.table.cell(c.ACTIONS_REQUESTED, action).add()
    return True


def action_finished(ledger: Ledger, event: ActionFinished, _time: datetime) -> bool:
    action = ledger.label("action", event.data.action)
    ledger.table.cell(c.ACTIONS_REQUESTED, action)
    _outcomes(ledger, c.ACTIONS_FINISHED, action=action).add(event.data.outcome)
    return True


def work_recorded(ledger: Ledger, event: WorkRecorded, _time: datetime) -> bool:
    data = event.data
    tool, kind = ledger.label("tool", data.tool), ledger.label("kind", data.kind)
    _outcomes(ledger, c.WORK_RECORDED, tool=tool, kind=kind).add(data.outcome)
    if data.duration_seconds is not None:
        ledger.table.cell(c.WORK_TIME, tool, kind).observe_seconds(data.duration_seconds)
    return True


def pipeline_declared(ledger: Ledger, event: PipelineDeclared, time: datetime) -> bool:
    if not ledger.declare(event.data.pipeline, Declaration(time=time.timestamp(), data=event.data)):
        ledger.late.add()
    return True


def _outcomes(ledger: Ledger, metric: c.Counter, **known: str) -> Outcomes:
    key = (metric.name, *known.values())
    found = ledger.tallies.get(key)
    if found is None:
        found = ledger.tallies[key] = Outcomes(ledger.table, metric, **known)
    return found
