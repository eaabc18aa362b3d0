"""The parts of a simulated pipeline as data, and the built-in demo."""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jelmon.events import Name, PipelineDeclaredData, Severity, StageDeclaration

Positive = Annotated[float, Meta(gt=0, le=1e9)]
Natural = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a scenario: an unknown field is an error."""


class Duration(Part, frozen=True, kw_only=True):
    """A log-normal duration; ``spread`` is the standard deviation of its logarithm."""

    median_seconds: Positive
    spread: Annotated[float, Meta(ge=0, le=3)] = 0.4

    @property
    def mean_seconds(self) -> float:
        return self.median_seconds * math.exp(self.spread**2 / 2)


class Arrivals(Part, frozen=True, kw_only=True):
    """Arrivals of cards: a Poisson process whose rate may vary over the day by ``daily_swing``.

    Once a day, at the time of day when the simulation starts, ``rush_per_minute`` more arrive; the rush rises and falls
    as a bell curve with a standard deviation of ``rush_minutes``.
    """

    per_minute: Positive
    daily_swing: Share = 0.0
    peak_hour: Annotated[float, Meta(ge=0, lt=24)] = 14.0
    rush_per_minute: Natural = 0.0
    rush_minutes: Positive = 30.0


class Tests(Part, frozen=True, kw_only=True):
    """Tests of a category in each run of the stage."""

    __test__ = False  # not a test class, although pytest would collect the name

    category: Name
    per_run: Annotated[int, Meta(ge=1, le=1000)] = 1
    failure_share: Share = 0.0
    skipped_share: Share = 0.0
    reasons: dict[Name, Positive] = msgspec.field(
        default_factory=lambda: {"assertion": 1.0}
    )  # class of failure -> weight
    duration: Duration = Duration(median_seconds=0.2, spread=0.8)


class Gate(Part, frozen=True, kw_only=True):
    """A quality gate. If it fails, the run of the stage fails."""

    gate: Name
    failed_share: Share = 0.0
    warned_share: Share = 0.0


class Scan(Part, frozen=True, kw_only=True):
    """A security scan with a mean number of findings by severity."""

    scanner: Name
    findings: dict[Severity, Annotated[float, Meta(ge=0, le=100)]] = {}
    error_share: Share = 0.0


class Stage(Part, frozen=True, kw_only=True):
    """A stage: its queue, workers, and possible results of a run."""

    stage: Name
    workers: Annotated[int, Meta(ge=1, le=10_000)]
    service: Duration
    queue_capacity: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    time_limit_seconds: Positive | None = None
    failure_share: Share = 0.0  # the work failed; tests and gates add to it
    error_share: Share = 0.0  # the system failed
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 1
    tests: tuple[Tests, ...] = ()
    gates: tuple[Gate, ...] = ()
    scans: tuple[Scan, ...] = ()


class Sessions(Part, frozen=True, kw_only=True):
    """Sessions of a kind."""

    kind: Name
    per_minute: Positive
    duration: Duration
    failure_share: Share = 0.0


class Calls(Part, frozen=True, kw_only=True):
    """Calls to a service."""

    target: Name
    per_minute: Positive
    duration: Duration
    error_share: Share = 0.0
    errors: dict[Name, Positive] = msgspec.field(default_factory=lambda: {"timeout": 1.0})  # class of error -> weight


class Change(Part, frozen=True, kw_only=True):
    """A change of a stage or, without ``stage``, of all stages.

    ``slow``: work takes ``factor`` times as long. ``stall``: workers stop, cards keep arriving. ``recover``: back to
    the initial speed.
    """

    at_seconds: Natural
    kind: Literal["slow", "stall", "recover"]
    stage: Name | None = None
    factor: Positive = 1.0

    def __str__(self) -> str:
        subject = self.stage or "every stage"
        match self.kind:
            case "slow":
                return f"{subject} slows down by a factor of {self.factor:g}"
            case "stall":
                return f"{subject} stalls: nothing starts or finishes"
            case _:
                return f"{subject} recovers"


class Scenario(Part, frozen=True, kw_only=True):
    """A whole simulated pipeline."""

    pipeline: Name
    arrivals: Arrivals
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=1000)]
    sessions: tuple[Sessions, ...] = ()
    calls: tuple[Calls, ...] = ()
    changes: tuple[Change, ...] = ()
    stall_limit_seconds: Positive | None = None
    card_target_seconds: Positive | None = None

    def __post_init__(self) -> None:
        names = [stage.stage for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"stage {name!r} is declared twice")
        for change in self.changes:
            if change.stage is not None and change.stage not in names:
                raise ValueError(f"a change names unknown stage {change.stage!r}; the stages are {', '.join(names)}")

    def declaration(self) -> PipelineDeclaredData:
        """Return the data of the pipeline's declaration event."""
        return PipelineDeclaredData(
            pipeline=self.pipeline,
            stages=tuple(
                StageDeclaration(
                    stage=stage.stage,
                    workers=stage.workers,
                    queue_capacity=stage.queue_capacity,
                    time_limit_seconds=stage.time_limit_seconds,
                )
                for stage in self.stages
            ),
            stall_limit_seconds=self.stall_limit_seconds,
            card_target_seconds=self.card_target_seconds,
        )

    def with_changes(self, changes: tuple[Change, ...]) -> "Scenario":
        """Return the scenario with other changes, sorted by time."""
        return msgspec.structs.replace(self, changes=tuple(sorted(changes, key=lambda change: change.at_seconds)))

    def renamed(self, pipeline: str) -> "Scenario":
        """Return the scenario with another pipeline name."""
        return msgspec.convert(msgspec.to_builtins(self) | {"pipeline": pipeline}, Scenario)


DEMO = Scenario(
    pipeline="demo",
    arrivals=Arrivals(per_minute=40),
    stall_limit_seconds=30,
    card_target_seconds=60,
    stages=(
        Stage(
            stage="code_analysis",
            workers=3,
            service=Duration(median_seconds=2.2, spread=0.4),
            time_limit_seconds=30,
            failure_share=0.02,
        ),
        Stage(
            stage="test_execution",
            workers=6,
            queue_capacity=6,
            service=Duration(median_seconds=4.5, spread=0.5),
            time_limit_seconds=25,
            error_share=0.02,
            max_attempts=3,
            tests=(
                Tests(category="unit", per_run=4, failure_share=0.004, reasons={"assertion": 3, "flaky": 1}),
                Tests(
                    category="integration",
                    per_run=2,
                    failure_share=0.02,
                    skipped_share=0.03,
                    reasons={"assertion": 1, "timeout": 1, "environment": 1},
                    duration=Duration(median_seconds=1.2, spread=0.7),
                ),
                Tests(
                    category="e2e",
                    failure_share=0.04,
                    reasons={"timeout": 2, "flaky": 2, "assertion": 1},
                    duration=Duration(median_seconds=2.5, spread=0.5),
                ),
            ),
        ),
        Stage(
            stage="quality_gates",
            workers=2,
            queue_capacity=10,
            service=Duration(median_seconds=0.9, spread=0.3),
            time_limit_seconds=15,
            gates=(
                Gate(gate="coverage", failed_share=0.03, warned_share=0.08),
                Gate(gate="complexity", failed_share=0.01, warned_share=0.1),
                Gate(gate="review", failed_share=0.02),
            ),
        ),
        Stage(
            stage="security_scan",
            workers=3,
            queue_capacity=10,
            service=Duration(median_seconds=2.4, spread=0.4),
            time_limit_seconds=30,
            max_attempts=2,
            scans=(
                Scan(
                    scanner="sast",
                    findings={
                        Severity.CRITICAL: 0.005,
                        Severity.HIGH: 0.03,
                        Severity.MEDIUM: 0.15,
                        Severity.LOW: 0.4,
                    },
                ),
                Scan(scanner="dependencies", findings={Severity.HIGH: 0.05, Severity.MEDIUM: 0.1}, error_share=0.01),
            ),
        ),
        Stage(
            stage="deploy",
            workers=2,
            queue_capacity=8,
            service=Duration(median_seconds=1.6, spread=0.3),
            time_limit_seconds=30,
            error_share=0.01,
            max_attempts=2,
        ),
    ),
    sessions=(
        Sessions(kind="agent", per_minute=3, duration=Duration(median_seconds=20, spread=0.6), failure_share=0.03),
        Sessions(kind="interactive", per_minute=1, duration=Duration(median_seconds=45, spread=0.8)),
    ),
    calls=(
        Calls(
            target="source-control",
            per_minute=60,
            duration=Duration(median_seconds=0.08, spread=0.6),
            error_share=0.005,
            errors={"http_5xx": 2, "timeout": 1},
        ),
        Calls(
            target="model-api",
            per_minute=20,
            duration=Duration(median_seconds=1.5, spread=0.7),
            error_share=0.02,
            errors={"rate_limited": 2, "timeout": 1},
        ),
    ),
    changes=(
        Change(at_seconds=60, kind="slow", stage="test_execution", factor=3),
        Change(at_seconds=100, kind="stall"),
    ),
)
_DAY, _HOUR = 86400.0, 3600.0
DEMO_WEEK = msgspec.structs.replace(
    DEMO,
    # as busy as the demo itself at its time of day, and quiet otherwise: a week must be simulated in a minute
    arrivals=Arrivals(per_minute=1.0, daily_swing=0.6, rush_per_minute=39, rush_minutes=15),
    sessions=tuple(msgspec.structs.replace(part, per_minute=part.per_minute / 20) for part in DEMO.sessions),
    calls=tuple(msgspec.structs.replace(part, per_minute=part.per_minute / 40) for part in DEMO.calls),
    changes=(
        Change(at_seconds=2.9 * _DAY, kind="slow", stage="security_scan", factor=2),
        Change(at_seconds=3.5 * _DAY, kind="recover", stage="security_scan"),
        Change(at_seconds=4 * _DAY - _HOUR, kind="slow", stage="test_execution", factor=3),
        Change(at_seconds=4 * _DAY + 2 * _HOUR, kind="recover", stage="test_execution"),
        Change(at_seconds=5.5 * _DAY, kind="stall"),
        Change(at_seconds=5.5 * _DAY + _HOUR, kind="recover"),
    ),
)
"""The week before a demo: a stage slows down on two days, and everything stalls for an hour."""

BUILT_IN = {"demo": DEMO, "demo-week": DEMO_WEEK}
