"""Events of calls, actions and recorded work, and declarations. Each handler returns True: it repeats nothing."""

from datetime import datetime

from jelmon import catalogue as c
from jelmon.events import ActionFinished, ActionRequested, CallFinished, PipelineDeclared, WorkRecorded
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.state.model import Declaration


def call_finished(ledger: Ledger, event: CallFinished, _time: datetime) -> bool:
    data = event.data
    target = ledger.label("target", data.target)
    ledger.outcomes(c.CALLS_FINISHED, target=target).add(data.outcome)
    ledger.table.cell(c.CALL_TIME, target).observe_seconds(data.duration_seconds)
    if data.error is not None:
        ledger.table.cell(c.CALL_ERRORS, target, ledger.label("reason", data.error)).add()
    return True


def action_requested(ledger: Ledger, event: ActionRequested, _time: datetime) -> bool:
    action = ledger.label("action", event.data.action)
    ledger.outcomes(c.ACTIONS_FINISHED, action=action)
    ledger.table.cell(c.ACTIONS_REQUESTED, action).add()
    return True


def action_finished(ledger: Ledger, event: ActionFinished, _time: datetime) -> bool:
    action = ledger.label("action", event.data.action)
    ledger.table.cell(c.ACTIONS_REQUESTED, action)
    ledger.outcomes(c.ACTIONS_FINISHED, action=action).add(event.data.outcome)
    return True


def work_recorded(ledger: Ledger, event: WorkRecorded, _time: datetime) -> bool:
    data = event.data
    tool, kind = ledger.label("tool", data.tool), ledger.label("kind", data.kind)
    ledger.outcomes(c.WORK_RECORDED, tool=tool, kind=kind).add(data.outcome)
    if data.duration_seconds is not None:
        ledger.table.cell(c.WORK_TIME, tool, kind).observe_seconds(data.duration_seconds)
    return True


def pipeline_declared(ledger: Ledger, event: PipelineDeclared, time: datetime) -> bool:
    if not ledger.declare(event.data.pipeline, Declaration(time=time.timestamp(), data=event.data)):
        ledger.late.add()
    return True
