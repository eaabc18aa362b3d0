"""Events out of order by less than the patience are put in order."""

import random
from collections.abc import Callable

import pytest
from tests.analyzers.bottleneck.conftest import Served, at, card, events_of

from jelmon.events import Event
from jelmon_analyzers.bottleneck import BottleneckAnalyzer
from jelmon_analyzers.bottleneck.line.ordering import Ordering


def test_events_pass_in_the_order_of_their_times_and_wait_for_older_ones() -> None:
    """Equal times keep the order in which they came; what is older than the patience passes when it can."""
    passed: list[float] = []
    ordering = Ordering(lambda _, time: passed.append(time), patience_seconds=2)
    event = card(1).stage_queued("a", time=at(0))
    for time in (1.0, 0.5, 2.0, 1.5, 3.6):
        ordering.put(event, time)

    assert passed == [0.5, 1.0, 1.5]

    ordering.put(event, 0.1)
    ordering.release(9)

    assert passed == [0.5, 1.0, 1.5, 0.1, 2.0, 3.6]


@pytest.mark.parametrize("seed", range(3))
def test_a_verdict_does_not_depend_on_a_little_disorder(queue: Callable[..., list[Served]], seed: int) -> None:
    """Each event up to two seconds late, at random."""
    served = queue(rho=0.9, workers=2, seconds=2000)
    events: list[Event] = [event for event in events_of(served) if event.time <= at(1500)]
    chance = random.Random(seed)
    shuffled = sorted(events, key=lambda event: event.time.timestamp() + chance.uniform(0, 1.9))
    straight, crooked = BottleneckAnalyzer(), BottleneckAnalyzer()
    straight.observe_many(events)
    crooked.observe_many(shuffled)

    assert straight.severity(at(1500)) == pytest.approx(crooked.severity(at(1500)), abs=0.1)
    assert straight.gain(at(1500)) == pytest.approx(crooked.gain(at(1500)), abs=0.1)
