"""Whether a stage is stuck, and whether its queue grows."""

from collections.abc import Callable

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import Served, analyze, analyze_one_stage, at, card, events_of

from jelmon_analyzers.bottleneck import Cause, State


@pytest.mark.parametrize("quiet_for", [400.0, 5000.0])
def test_a_stage_that_never_completed_anything_is_stuck(quiet_for: float) -> None:
    """Ten cards came, none was taken; that they came before the window does not matter."""
    analyzer = analyze([card(number).stage_queued("deploy", time=at(number)) for number in range(10)])
    report = analyzer.report(at(10 + quiet_for))["deploy"]

    assert report.state is State.STUCK
    assert report.cause is Cause.UNAVAILABILITY
    assert report.severity is not None
    assert report.severity > 95


def test_a_stage_whose_workers_hang_is_stuck(queue: Callable[..., list[Served]]) -> None:
    """It worked for a while; then the card in service never ends and the others wait."""
    served = queue(rho=0.5, seconds=3000)
    events = [
        event
        for event in events_of(served)
        if event.time <= at(2000) or (event.time <= at(2060) and "queued" in type(event).__name__.lower())
    ]
    analyzer = analyze(events)
    report = analyzer.report(at(2000 + 900 + 60))["only"]

    assert report.state is State.STUCK
    assert report.severity is not None
    assert report.severity > 90


def test_states_follow_the_queue() -> None:
    """More comes than goes: growing. Nothing comes any more and a long queue is left: draining."""
    arrivals = np.arange(0, 900.0, 3)
    growing = analyze_one_stage(arrivals, np.full(300, 5.0), 1, 900)
    draining = analyze_one_stage(arrivals, np.full(300, 5.0), 1, 1300)

    assert growing.report(at(900))["only"].state is State.GROWING
    assert draining.report(at(1300))["only"].state is State.DRAINING
    assert growing.report(at(900))["only"].cause is Cause.UTILISATION
