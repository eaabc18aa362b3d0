"""Send a test alert through the real Alertmanager and its routes, and wait until its webhook arrives."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jelmon.errors import JelmonError
from jelmon_responder.alertmanager import Alertmanager
from jelmon_responder.history.protocol import MAX_LIMIT, Query
from jelmon_responder.recorder import AlertRecorder

ALERTNAME = "JelmonDrill"
POLL_SECONDS = 0.2
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test; ``seconds`` since its start."""

    step: str
    ok: bool
    seconds: float
    detail: str = ""


@dataclass(slots=True)
class Report:
    """The steps that were taken, up to the first that prevents the next."""

    drill_id: str
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)


async def run_test_alert(
    alertmanager: Alertmanager,
    recorder: AlertRecorder,
    *,
    severity: str,
    timeout_seconds: float,
    clock: Callable[[], float],
) -> Report:
    """Send an alert with ``drill="true"``, wait until its webhook is in the history, then resolve it."""
    report = Report(drill_id=uuid.uuid4().hex)
    began = clock()
    starts = datetime.now(UTC)
    labels = {"alertname": ALERTNAME, "drill": "true", "drill_id": report.drill_id, "severity": severity}
    annotations = {
        "summary": "Test alert: nothing is wrong.",
        "description": "Sent by POST /api/v1/alerts/test.",
    }

    def step(name: str, ok: bool, detail: str = "") -> bool:
        report.steps.append(Step(name, ok, round(clock() - began, 3), detail))
        return ok

    try:
        ends = starts + timedelta(seconds=timeout_seconds + 60)
        await alertmanager.send(labels, annotations, starts=starts, ends=ends)
    except JelmonError as error:
        step("Alertmanager accepts the alert", False, error.message)
        return report
    step("Alertmanager accepts the alert", True)
    try:
        recorded = await _is_recorded(recorder, report.drill_id, starts, deadline=began + timeout_seconds, clock=clock)
        step(
            "Alertmanager calls the webhook and the alert is in the history",
            recorded,
            ""
            if recorded
            else f"not within {timeout_seconds:g} s: is there a route from alerts with drill=true to the "
            "webhook receiver, with a shorter group_wait?",
        )
    except JelmonError as error:
        step("the alert is in the history", False, error.message)
    try:
        await alertmanager.send(labels, annotations, starts=starts, ends=datetime.now(UTC))
        step("Alertmanager accepts the end of the alert", True)
    except JelmonError as error:
        step("Alertmanager accepts the end of the alert", False, error.message)
    return report


async def _is_recorded(
    recorder: AlertRecorder, drill_id: str, starts: datetime, *, deadline: float, clock: Callable[[], float]
) -> bool:
    query = Query(alertname=ALERTNAME, since=starts - _CLOCK_SKEW, limit=MAX_LIMIT)
    while True:
        if any(row.labels.get("drill_id") == drill_id for row in await recorder.read(query)):
            return True
        if clock() >= deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
