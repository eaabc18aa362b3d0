"""Builders of the events of a card, and outcomes of ``with`` blocks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jelmon.events import (
    CardData,
    CardFinished,
    CardFinishedData,
    CardQueued,
    CardStarted,
    GateEvaluated,
    GateEvaluatedData,
    Outcome,
    ScanFinished,
    ScanFinishedData,
    Severity,
    StageData,
    StageFinished,
    StageFinishedData,
    StageQueued,
    StageRetried,
    StageRetriedData,
    StageStarted,
    StageStartedData,
    TestFinished,
    TestFinishedData,
    TestOutcome,
    Verdict,
    make,
)


@dataclass(frozen=True, slots=True)
class Card:
    """One card of one pipeline. Its methods build the events of the card, at the current time by default."""

    id: str
    pipeline: str = field(kw_only=True)
    source: str = field(default="/jelmon/client", kw_only=True)

    def queued(self, *, time: datetime | None = None) -> CardQueued:
        """Return the event that the card arrived."""
        return make(CardQueued, CardData(pipeline=self.pipeline), source=self.source, subject=self.id, time=time)

    def started(self, *, time: datetime | None = None) -> CardStarted:
        """Return the event that work on the card started."""
        return make(CardStarted, CardData(pipeline=self.pipeline), source=self.source, subject=self.id, time=time)

    def finished(
        self, outcome: Outcome = Outcome.SUCCESS, *, reason: str = "", time: datetime | None = None
    ) -> CardFinished:
        """Return the event that the card left the pipeline."""
        data = CardFinishedData(pipeline=self.pipeline, outcome=outcome, reason=reason)
        return make(CardFinished, data, source=self.source, subject=self.id, time=time)

    def stage_queued(self, stage: str, *, attempt: int = 1, time: datetime | None = None) -> StageQueued:
        """Return the event that the card started to wait for the stage."""
        data = StageData(pipeline=self.pipeline, stage=stage, attempt=attempt)
        return make(StageQueued, data, source=self.source, subject=self.id, time=time)

    def stage_started(
        self, stage: str, *, attempt: int = 1, worker: str | None = None, time: datetime | None = None
    ) -> StageStarted:
        """Return the event that a worker started on the card."""
        data = StageStartedData(pipeline=self.pipeline, stage=stage, attempt=attempt, worker=worker)
        return make(StageStarted, data, source=self.source, subject=self.id, time=time)

    def stage_finished(
        self,
        stage: str,
        outcome: Outcome = Outcome.SUCCESS,
        *,
        attempt: int = 1,
        worker: str | None = None,
        next_stage: str | None = None,
        held_up: bool = False,
        last: bool = False,
        reason: str = "",
        time: datetime | None = None,
    ) -> StageFinished:
        """Return the event that an attempt of the stage ended."""
        data = StageFinishedData(
            pipeline=self.pipeline,
            stage=stage,
            attempt=attempt,
            worker=worker,
            outcome=outcome,
            next_stage=next_stage,
            held_up=held_up,
            last=last,
            reason=reason,
        )
        return make(StageFinished, data, source=self.source, subject=self.id, time=time)

    def stage_retried(
        self, stage: str, *, attempt: int, reason: str = "", time: datetime | None = None
    ) -> StageRetried:
        """Return the event that the stage will be retried; ``attempt`` is the number of the next attempt."""
        data = StageRetriedData(pipeline=self.pipeline, stage=stage, attempt=attempt, reason=reason)
        return make(StageRetried, data, source=self.source, subject=self.id, time=time)

    def gate_evaluated(
        self, gate: str, verdict: Verdict, *, stage: str | None = None, time: datetime | None = None
    ) -> GateEvaluated:
        """Return the event that a quality gate gave its verdict."""
        data = GateEvaluatedData(pipeline=self.pipeline, gate=gate, verdict=verdict, stage=stage)
        return make(GateEvaluated, data, source=self.source, subject=self.id, time=time)

    def test_finished(
        self,
        category: str,
        outcome: TestOutcome,
        *,
        duration_seconds: float | None = None,
        failure_reason: str | None = None,
        name: str = "",
        time: datetime | None = None,
    ) -> TestFinished:
        """Return the event that a test ended."""
        data = TestFinishedData(
            pipeline=self.pipeline,
            category=category,
            outcome=outcome,
            duration_seconds=duration_seconds,
            failure_reason=failure_reason,
            name=name,
        )
        return make(TestFinished, data, source=self.source, subject=self.id, time=time)

    def scan_finished(
        self,
        scanner: str,
        findings: Mapping[Severity, int],
        *,
        outcome: Outcome = Outcome.SUCCESS,
        duration_seconds: float | None = None,
        time: datetime | None = None,
    ) -> ScanFinished:
        """Return the event that a security scan ended."""
        data = ScanFinishedData(
            pipeline=self.pipeline,
            scanner=scanner,
            outcome=outcome,
            findings=dict(findings),
            duration_seconds=duration_seconds,
        )
        return make(ScanFinished, data, source=self.source, subject=self.id, time=time)


@dataclass(slots=True)
class Run:
    """What a ``with`` block may set about its end. By default the outcome follows from the exception, if any."""

    outcome: Outcome | None = None
    reason: str = ""
    next_stage: str | None = None
    held_up: bool = False
    last: bool = False

    def card_finished(self, card: Card, error: BaseException | None = None) -> CardFinished:
        """Return the last event of the card."""
        outcome = self._ended(error)
        return card.finished(outcome, reason=self.reason)

    def stage_finished(
        self, card: Card, stage: str, *, attempt: int, worker: str | None, error: BaseException | None = None
    ) -> StageFinished:
        """Return the event that ends this attempt of the stage."""
        outcome = self._ended(error)
        return card.stage_finished(
            stage,
            outcome,
            attempt=attempt,
            worker=worker,
            next_stage=self.next_stage,
            held_up=self.held_up,
            last=self.last,
            reason=self.reason,
        )

    def _ended(self, error: BaseException | None) -> Outcome:
        """Return the outcome that the block set, else the one that follows from the exception."""
        if error is not None and not self.reason:
            self.reason = type(error).__name__
        if self.outcome is not None:
            return self.outcome
        match error:
            case None:
                return Outcome.SUCCESS
            case TimeoutError():
                return Outcome.TIMEOUT
            case asyncio.CancelledError() | KeyboardInterrupt():
                return Outcome.CANCELLED
            case AssertionError():
                return Outcome.FAILURE
            case _:
                return Outcome.ERROR
