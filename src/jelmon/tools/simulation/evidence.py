"""What a run of a simulated stage brings to light: tests, verdicts of gates, findings of scans. Random draws only."""

import math
from dataclasses import dataclass
from random import Random

from jelmon.events import (
    Data,
    Envelope,
    GateEvaluated,
    GateEvaluatedData,
    Outcome,
    ScanFinished,
    ScanFinishedData,
    TestFinished,
    TestFinishedData,
    TestOutcome,
    Verdict,
)
from jelmon.tools.simulation.scenario import Duration, Gate, Scan, Stage, Tests


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts to report, and the outcome of the run that follows from them."""

    facts: tuple[tuple[type[Envelope], Data], ...]
    outcome: Outcome


def draw_duration(random: Random, duration: Duration) -> float:
    """One log-normal draw."""
    return random.lognormvariate(math.log(duration.median_seconds), duration.spread)


def draw_weighted(random: Random, weights: dict[str, float]) -> str:
    """One of the keys, by weight."""
    return random.choices(list(weights), list(weights.values()))[0]


def draw_count(random: Random, mean: float) -> int:
    """Draw a Poisson-distributed number (Knuth's method, suited to the small means of findings)."""
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


def examine(random: Random, pipeline: str, stage: Stage) -> Evidence:
    """Draw the evidence of one run that was not cut short."""
    if random.random() < stage.error_share:
        return Evidence((), Outcome.ERROR)
    facts: list[tuple[type[Envelope], Data]] = []
    failed = random.random() < stage.failure_share
    for tests in stage.tests:
        for _ in range(tests.per_run):
            test = _test(random, pipeline, tests)
            failed |= test.outcome is TestOutcome.FAILED
            facts.append((TestFinished, test))
    for gate in stage.gates:
        verdict = _verdict(random, gate)
        failed |= verdict is Verdict.FAILED
        facts.append(
            (GateEvaluated, GateEvaluatedData(pipeline=pipeline, gate=gate.gate, verdict=verdict, stage=stage.stage))
        )
    for scan in stage.scans:
        result = _scan(random, pipeline, scan, stage.service)
        facts.append((ScanFinished, result))
        if result.outcome is Outcome.ERROR:
            return Evidence(tuple(facts), Outcome.ERROR)
    return Evidence(tuple(facts), Outcome.FAILURE if failed else Outcome.SUCCESS)


def _test(random: Random, pipeline: str, tests: Tests) -> TestFinishedData:
    draw = random.random()
    failed = draw < tests.failure_share
    skipped = not failed and draw < tests.failure_share + tests.skipped_share
    return TestFinishedData(
        pipeline=pipeline,
        category=tests.category,
        outcome=TestOutcome.FAILED if failed else TestOutcome.SKIPPED if skipped else TestOutcome.PASSED,
        duration_seconds=None if skipped else round(draw_duration(random, tests.duration), 3),
        failure_reason=draw_weighted(random, tests.reasons) if failed else None,
    )


def _verdict(random: Random, gate: Gate) -> Verdict:
    draw = random.random()
    if draw < gate.failed_share:
        return Verdict.FAILED
    return Verdict.WARNED if draw < gate.failed_share + gate.warned_share else Verdict.PASSED


def _scan(random: Random, pipeline: str, scan: Scan, service: Duration) -> ScanFinishedData:
    broken = random.random() < scan.error_share
    findings = {} if broken else {severity: draw_count(random, mean) for severity, mean in scan.findings.items()}
    return ScanFinishedData(
        pipeline=pipeline,
        scanner=scan.scanner,
        outcome=Outcome.ERROR if broken else Outcome.SUCCESS,
        findings={severity: count for severity, count in findings.items() if count},
        duration_seconds=round(draw_duration(random, service), 3),
    )
