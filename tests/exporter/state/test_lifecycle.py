"""Where an event belongs in a life, by times alone."""

from datetime import UTC, datetime, timedelta

import pytest

from jelmon_exporter.state.lifecycle import EventOrder, Lifecycle, Step, classify


def at(seconds: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


WAITING = Lifecycle(queued=at(10))
RUNNING = Lifecycle(queued=at(10), started=at(20))
OVER = Lifecycle(queued=at(10), started=at(20), finished=at(30))
STARTED_ONLY = Lifecycle(started=at(20))
FINISHED_ONLY = Lifecycle(finished=at(30))
INSTANT = Lifecycle(queued=at(10), started=at(10), finished=at(10))


@pytest.mark.parametrize(
    ("life", "step", "time", "expected"),
    [
        pytest.param(WAITING, Step.STARTED, 20, EventOrder.NEXT, id="a start follows its queuing"),
        pytest.param(WAITING, Step.STARTED, 5, EventOrder.NEXT, id="even when clocks disagree"),
        pytest.param(WAITING, Step.QUEUED, 10, EventOrder.DUPLICATE, id="the same queuing again repeats"),
        pytest.param(WAITING, Step.QUEUED, 12, EventOrder.NEW, id="queuing again begins anew"),
        pytest.param(WAITING, Step.QUEUED, 8, EventOrder.STALE, id="an older queuing is of an earlier life"),
        pytest.param(
            WAITING, Step.FINISHED, 30, EventOrder.NEXT, id="a finish whose start was lost still ends the life"
        ),
        pytest.param(RUNNING, Step.FINISHED, 30, EventOrder.NEXT, id="a finish follows its start"),
        pytest.param(RUNNING, Step.STARTED, 20, EventOrder.DUPLICATE, id="the same start again repeats"),
        pytest.param(RUNNING, Step.STARTED, 25, EventOrder.NEW, id="a later start means that a finish was lost"),
        pytest.param(RUNNING, Step.STARTED, 15, EventOrder.STALE, id="an older start is of an earlier life"),
        pytest.param(RUNNING, Step.QUEUED, 10, EventOrder.DUPLICATE, id="its queuing again repeats while it runs"),
        pytest.param(RUNNING, Step.QUEUED, 25, EventOrder.NEW, id="queuing while it runs means that a finish was lost"),
        pytest.param(OVER, Step.QUEUED, 30, EventOrder.NEW, id="queuing at the end of a life begins the next"),
        pytest.param(OVER, Step.QUEUED, 29, EventOrder.NEW, id="even a little before it, as clocks differ"),
        pytest.param(OVER, Step.QUEUED, 10, EventOrder.DUPLICATE, id="its own queuing after the end repeats"),
        pytest.param(OVER, Step.QUEUED, 5, EventOrder.STALE, id="a queuing before it is of an earlier life"),
        pytest.param(OVER, Step.STARTED, 40, EventOrder.NEW, id="a start after the end begins the next life"),
        pytest.param(OVER, Step.STARTED, 20, EventOrder.DUPLICATE, id="its own start after the end repeats"),
        pytest.param(OVER, Step.FINISHED, 30, EventOrder.DUPLICATE, id="the same finish again repeats"),
        pytest.param(
            OVER, Step.FINISHED, 40, EventOrder.NEW, id="a later finish belongs to a life whose start was lost"
        ),
        pytest.param(OVER, Step.FINISHED, 25, EventOrder.STALE, id="an older finish is of an earlier life"),
        pytest.param(STARTED_ONLY, Step.QUEUED, 10, EventOrder.BACKFILL, id="queuing that comes late fills the gap"),
        pytest.param(STARTED_ONLY, Step.QUEUED, 25, EventOrder.NEW, id="queuing after a start is of the next life"),
        pytest.param(FINISHED_ONLY, Step.STARTED, 20, EventOrder.BACKFILL, id="a start that comes late fills the gap"),
        pytest.param(FINISHED_ONLY, Step.STARTED, 40, EventOrder.NEW, id="a start after a lone finish begins anew"),
        pytest.param(
            FINISHED_ONLY, Step.QUEUED, 10, EventOrder.BACKFILL, id="queuing fills the gap before a lone finish"
        ),
        pytest.param(INSTANT, Step.QUEUED, 10, EventOrder.NEW, id="a life of no length can be followed at once"),
    ],
)
def test_place(life: Lifecycle, step: Step, time: int, expected: EventOrder) -> None:
    actual = classify(life, step, at(time))

    assert expected == actual
