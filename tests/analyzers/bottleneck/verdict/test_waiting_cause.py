"""Why cards wait."""

import numpy as np
from tests.analyzers.bottleneck.conftest import analyze, analyze_one_stage, at, card, event_time

from jelmon.events import Event
from jelmon_analyzers.bottleneck import Cause


def test_batches_differ_from_variable_arrivals() -> None:
    """Ten at once at half load: batching. The same load one by one with widely scattered runs: variability."""
    generator = np.random.default_rng(5)
    lumps = analyze_one_stage(np.repeat(np.arange(0, 900.0, 60), 10), np.full(150, 3.0), 1, 900)
    scattered = analyze_one_stage(
        np.cumsum(generator.exponential(6.0, 150)), generator.lognormal(np.log(2.0), 1.0, 150), 1, 880
    )

    assert lumps.report(at(900))["only"].cause is Cause.BATCHING
    assert scattered.report(at(880))["only"].cause is Cause.VARIABILITY


def test_waiting_with_free_workers_is_unavailability() -> None:
    """Two workers are declared; for five minutes nobody takes the cards that wait."""
    events: list[Event] = []
    for number in range(60):
        arrival = 15.0 * number
        start = max(arrival, 600.0 + number) if 300 <= arrival < 600 else arrival
        one = card(number)
        events += [
            one.stage_queued("only", time=at(arrival)),
            one.stage_started("only", time=at(start)),
            one.stage_finished("only", last=True, time=at(start + 5)),
        ]
    analyzer = analyze(
        sorted((event for event in events if event.time <= at(890)), key=event_time), workers={"only": 2}
    )

    assert analyzer.report(at(890))["only"].cause is Cause.UNAVAILABILITY
