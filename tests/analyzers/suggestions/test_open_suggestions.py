"""Suggestions are opened, closed, applied and measured."""

from tests.analyzers.suggestions.conftest import BOTTLENECK, action_finished, declared, open_suggestions

from jelmon.events import (
    Outcome,
)
from jelmon_analyzers.suggestions.open_suggestions import GONE_SECONDS


def test_a_suggestion_is_opened_once_and_closed_when_it_has_not_fitted_for_5_minutes() -> None:
    """A cycle without the finding does not close it yet."""
    suggestions = open_suggestions()

    assert [one.strategy for one in suggestions.update([BOTTLENECK], 0)] == [
        "add_worker",
        "speed_up",
        "more_room",
        "throttle",
    ]
    assert suggestions.update([BOTTLENECK], 15) == []
    assert suggestions.update([], 30) == []
    assert suggestions.open[0].expected_seconds == 7.5
    assert suggestions.open[3].expected_seconds is None

    closed = suggestions.update([], 15 + GONE_SECONDS)

    assert len(closed) == 4
    assert {one.closed_at for one in closed} == {15 + GONE_SECONDS}
    assert suggestions.open == ()


def test_an_applied_suggestion_is_measured_before_and_a_window_after() -> None:
    """Applied by its action; a failed action changes nothing."""
    suggestions = open_suggestions()
    suggestions.update([BOTTLENECK], 0)

    assert suggestions.observe(action_finished("scale_up", 100, Outcome.FAILURE)) == []
    assert [(one.strategy, one.before_seconds) for one in suggestions.observe(action_finished("scale_up", 100))] == [
        ("add_worker", 99.0)
    ]
    assert suggestions.update([], 200) == []

    measured = [one for one in suggestions.update([], 1000) if one.applied_at is not None]

    assert [(one.strategy, one.before_seconds, one.after_seconds) for one in measured] == [("add_worker", 99.0, 90.0)]


def test_declaring_more_workers_applies_the_suggestion() -> None:
    """It was applied by hand."""
    suggestions = open_suggestions()
    suggestions.observe(declared(2, 0))
    suggestions.update([BOTTLENECK], 10)

    assert suggestions.observe(declared(2, 20)) == []
    assert [one.strategy for one in suggestions.observe(declared(3, 30))] == ["add_worker"]
