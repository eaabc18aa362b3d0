"""Events of quality gates, tests and security scans."""

from typing import Annotated

from msgspec import Meta, field

from jelmon.events.cards import CardData
from jelmon.events.envelope import SubjectEnvelope
from jelmon.events.fields import Count, Name, Outcome, Seconds, Severity, TestOutcome, Verdict


class GateEvaluatedData(CardData, frozen=True, kw_only=True):
    gate: Annotated[Name, Meta(description="the quality gate")]
    verdict: Annotated[Verdict, Meta(description="result of the gate")]
    stage: Annotated[Name, Meta(description="stage that the gate belongs to")] | None = None


class TestFinishedData(CardData, frozen=True, kw_only=True):
    __test__ = False

    category: Annotated[Name, Meta(description="unit, integration, e2e, performance, ...")]
    outcome: Annotated[TestOutcome, Meta(description="how the test ended")]
    duration_seconds: Annotated[Seconds, Meta(description="duration in seconds")] | None = None
    failure_reason: (
        Annotated[Name, Meta(description="class of failure: assertion, timeout, flaky, ...; a label")] | None
    ) = None
    name: Annotated[str, Meta(max_length=1024, description="name of the test; never a label")] = ""


class ScanFinishedData(CardData, frozen=True, kw_only=True):
    scanner: Annotated[Name, Meta(description="kind of scanner: sast, dependencies, secrets, ...")]
    outcome: Annotated[Outcome, Meta(description="how the scan itself ended")]
    findings: Annotated[dict[Severity, Count], Meta(description="new findings of this scan, by severity")] = field(
        default_factory=dict
    )
    duration_seconds: Annotated[Seconds, Meta(description="duration in seconds")] | None = None


class GateEvaluated(SubjectEnvelope, tag="jelmore.gate.evaluated", frozen=True, kw_only=True):
    """A quality gate was evaluated for a card."""

    data: GateEvaluatedData


class TestFinished(SubjectEnvelope, tag="jelmore.test.finished", frozen=True, kw_only=True):
    """A test of a card finished."""

    __test__ = False

    data: TestFinishedData


class ScanFinished(SubjectEnvelope, tag="jelmore.scan.finished", frozen=True, kw_only=True):
    """A security scan of a card finished."""

    data: ScanFinishedData
