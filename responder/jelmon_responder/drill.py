"""The fire drill: a test alert through the real Alertmanager and its routes, until it comes back to us."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jelmon.errors import JelmonError
from jelmon_responder.alertmanager import Alertmanager
from jelmon_responder.history.history import Query
from jelmon_responder.history.journal import Journal

ALERTNAME = "JelmonDrill"
LOOK_SECONDS = 0.2
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way; ``seconds`` since the drill began."""

    step: str
    ok: bool
    seconds: float
    detail: str = ""


@dataclass(slots=True)
class Report:
    """How far the test alert came."""

    drill_id: str
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)


async def drill(
    alertmanager: Alertmanager, journal: Journal, *, severity: str, timeout_seconds: float, clock: Callable[[], float]
) -> Report:
    """Send a test alert (``drill="true"``), wait until its webhook is in the history, then resolve it."""
    report = Report(drill_id=uuid.uuid4().hex)
    began = clock()
    starts = datetime.now(UTC)
    labels = {"alertname": ALERTNAME, "drill": "true", "drill_id": report.drill_id, "severity": severity}
    annotations = {"summary": "Test alert: nothing is wrong.", "description": "Fired by POST /api/v1/alerts/test."}

    def step(name: str, ok: bool, detail: str = "") -> bool:
        report.steps.append(Step(name, ok, round(clock() - began, 3), detail))
        return ok

    try:
        ends = starts + timedelta(seconds=timeout_seconds + 60)
        await alertmanager.tell(labels, annotations, starts=starts, ends=ends)
    except JelmonError as error:
        step("Alertmanager takes the alert", False, error.message)
        return report
    step("Alertmanager takes the alert", True)
    try:
        kept = await _kept(journal, report.drill_id, starts, deadline=began + timeout_seconds, clock=clock)
        step(
            "Alertmanager calls the webhook and the alert is in the history",
            kept,
            ""
            if kept
            else f"not within {timeout_seconds:g} s: does a route lead alerts with drill=true to the "
            "webhook receiver, and is its group_wait shorter than that?",
        )
    except JelmonError as error:
        step("the alert is in the history", False, error.message)
    try:
        await alertmanager.tell(labels, annotations, starts=starts, ends=datetime.now(UTC))
        step("Alertmanager takes the end of the alert", True)
    except JelmonError as error:
        step("Alertmanager takes the end of the alert", False, error.message)
    return report


async def _kept(
    journal: Journal, drill_id: str, starts: datetime, *, deadline: float, clock: Callable[[], float]
) -> bool:
    query = Query(alertname=ALERTNAME, since=starts - _CLOCK_SKEW, limit=1000)
    while True:
        if any(row.labels.get("drill_id") == drill_id for row in await journal.read(query)):
            return True
        if clock() >= deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
