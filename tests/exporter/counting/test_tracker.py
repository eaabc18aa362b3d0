"""Events in, samples out: a list of events and the figures expected."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jelmon import catalogue as c
from jelmon import events as e
from jelmon_exporter.counting.changes import drain_all
from jelmon_exporter.counting.tracker import HANDLERS
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.model import Card, decode_entry

START = datetime(2026, 1, 1, tzinfo=UTC)
Making = Callable[..., Any]


def totals(view: View, metric: c.Histogram) -> tuple[int, float]:
    """Count and sum (seconds) of a histogram over all its series."""
    values = [view.merged(shown) for shown in view.families[metric.name].values()]
    histograms = [value for value in values if isinstance(value, tuple)]
    return sum(sum(counts) for _, counts in histograms), sum(total for total, _ in histograms) / 1e6


def test_every_event_type_has_a_handler() -> None:
    """A new type cannot be forgotten."""

    assert set(e.EVENT_TYPES.values()) == set(HANDLERS)


def test_a_card_from_arrival_to_finish(say: Any, books: Making) -> None:
    """Counters, gauges and durations follow a card."""
    one = books()
    view = one.apply(say.card_queued("a", at=0))

    assert view.value(c.CARDS_WAITING, "main") == 1
    assert view.value(c.LAST_ACTIVITY, "main") is None  # an arrival alone is no activity

    one.apply(say.card_started("a", at=10))

    assert view.value(c.CARDS_WAITING, "main") == 0
    assert view.value(c.CARDS_IN_PROGRESS, "main") == 1
    assert view.value(c.CARDS_FINISHED, "main", "failure") == 0  # closed sets are there before they are used

    one.apply(say.card_finished("a", at=70.5, outcome=e.Outcome.FAILURE))

    assert view.value(c.CARDS_IN_PROGRESS, "main") == 0
    assert view.value(c.CARDS_FINISHED, "main", "failure") == 1
    assert totals(view, c.CARD_WAIT) == (1, 10.0)
    assert totals(view, c.CARD_PROCESSING) == (1, 60.5)
    assert view.value(c.LAST_ACTIVITY, "main") == 1767225670.5


def test_a_duration_on_a_bucket_bound_is_in_that_bucket(say: Any, books: Making) -> None:
    """Bounds are inclusive and durations exact, whatever the date."""
    view = books().apply(say.started("a", "build", at=1000.001), say.finished("a", "build", at=1300.001))
    total, counts = view.value(c.STAGE_RUN_TIME, "main", "build", "success")

    assert total == 300_000_000
    assert counts.index(1) == c.WORK_BUCKETS.index(300)


def test_a_stage_run_moves_through_the_gauges(say: Any, books: Making) -> None:
    one = books()
    view = one.apply(say.queued("a", "build", at=5), say.queued("b", "build", at=3))

    assert view.value(c.STAGE_QUEUE_DEPTH, "main", "build") == 2
    assert view.value(c.STAGE_OLDEST_WAITING, "main", "build") == 1767225603.0

    one.apply(say.started("b", "build", at=7))

    assert view.value(c.STAGE_QUEUE_DEPTH, "main", "build") == 1
    assert view.value(c.STAGE_OLDEST_WAITING, "main", "build") == 1767225605.0
    assert view.value(c.STAGE_OLDEST_RUNNING, "main", "build") == 1767225607.0

    one.apply(say.started("a", "build", at=8), say.finished("b", "build", at=9), say.finished("a", "build", at=12))

    assert view.value(c.STAGE_QUEUE_DEPTH, "main", "build") == 0
    assert view.value(c.STAGE_IN_PROGRESS, "main", "build") == 0
    assert view.value(c.STAGE_OLDEST_WAITING, "main", "build") is None
    assert view.value(c.STAGE_OLDEST_RUNNING, "main", "build") is None
    assert totals(view, c.STAGE_QUEUE_TIME) == (2, 7.0)
    assert totals(view, c.STAGE_RUN_TIME) == (2, 6.0)


def test_branches_of_a_card_run_in_parallel(say: Any, books: Making) -> None:
    view = books().apply(
        say.started("a", "lint", at=0),
        say.started("a", "test", at=1),
        say.finished("a", "lint", at=4),
        say.finished("a", "test", at=10),
    )

    assert totals(view, c.STAGE_RUN_TIME) == (2, 13.0)


def test_a_card_that_returns_to_a_stage_runs_it_again(say: Any, books: Making) -> None:
    """The same stage with the same attempt after a finish is a new run."""
    events = []
    for start in (0, 20, 40):
        events += [
            say.queued("a", "review", at=start),
            say.started("a", "review", at=start + 1),
            say.finished("a", "review", at=start + 5),
        ]
    view = books().apply(*events)

    assert totals(view, c.STAGE_QUEUE_TIME) == (3, 3.0)
    assert totals(view, c.STAGE_RUN_TIME) == (3, 12.0)
    assert view.value(c.EVENTS_LATE) == view.value(c.EVENTS_DUPLICATE) == 0
    assert view.value(c.STAGE_IN_PROGRESS, "main", "review") == 0


def test_attempts_are_runs_of_their_own(say: Any, books: Making) -> None:
    view = books().apply(
        say.started("a", "test", at=0),
        say.finished("a", "test", at=5, outcome=e.Outcome.FAILURE),
        say.retried("a", "test", at=5, attempt=2),
        say.started("a", "test", at=6, attempt=2),
        say.finished("a", "test", at=8, attempt=2),
    )

    assert view.value(c.STAGE_RETRIES, "main", "test") == 1
    assert view.value(c.STAGE_RUNS_FINISHED, "main", "test", "failure") == 1
    assert view.value(c.STAGE_RUNS_FINISHED, "main", "test", "success") == 1
    assert totals(view, c.STAGE_RUN_TIME) == (2, 7.0)


def test_a_second_attempt_is_a_retry_whichever_event_reports_it(say: Any, books: Making) -> None:
    """Producers number their attempts, or announce retries, or both in any order; each retry counts once."""
    numbered = [
        say.started("a", "test", at=0),
        say.finished("a", "test", at=5, outcome=e.Outcome.FAILURE),
        say.queued("a", "test", at=5, attempt=2),
        say.started("a", "test", at=6, attempt=2),
        say.finished("a", "test", at=8, attempt=2, outcome=e.Outcome.FAILURE),
        say.finished("a", "test", at=9, attempt=3),
    ]
    announced = [say.retried("a", "test", at=5, attempt=2), say.retried("a", "test", at=8.5, attempt=3)]

    for events in (numbered, announced, numbered + announced, announced + numbered, numbered[::-1]):
        assert books().apply(*events).value(c.STAGE_RETRIES, "main", "test") == 2


def test_retries_without_a_number_are_counted_one_by_one(say: Any, books: Making) -> None:
    view = books().apply(
        say.started("a", "test", at=0),
        say.retried("a", "test", at=5, attempt=1),
        say.retried("a", "test", at=9, attempt=1),
    )

    assert view.value(c.STAGE_RETRIES, "main", "test") == 2
    assert view.value(c.STAGE_IN_PROGRESS, "main", "test") == 0


def test_a_card_back_at_a_stage_retries_again(say: Any, books: Making) -> None:
    visits = []
    for start in (0, 20):
        visits += [
            say.started("a", "test", at=start),
            say.finished("a", "test", at=start + 1, outcome=e.Outcome.FAILURE),
            say.started("a", "test", at=start + 2, attempt=2),
            say.finished("a", "test", at=start + 3, attempt=2),
        ]

    assert books().apply(*visits).value(c.STAGE_RETRIES, "main", "test") == 2


def test_a_retry_ends_an_attempt_whose_end_was_not_told(say: Any, books: Making) -> None:
    """No attempt is shown as running for ever."""
    view = books().apply(say.started("a", "test", at=0), say.retried("a", "test", at=5, attempt=2))

    assert view.value(c.STAGE_IN_PROGRESS, "main", "test") == 0


def test_the_finish_of_a_card_ends_what_is_open(say: Any, books: Making) -> None:
    view = books().apply(
        say.card_started("a", at=0),
        say.started("a", "build", at=1),
        say.queued("a", "test", at=1),
        say.finished("a", "scan", at=2, next_stage="test", held_up=True),
        say.card_finished("a", at=3, outcome=e.Outcome.CANCELLED),
    )

    assert view.value(c.STAGE_IN_PROGRESS, "main", "build") == 0
    assert view.value(c.STAGE_QUEUE_DEPTH, "main", "test") == 0
    assert view.value(c.STAGE_HELD_UP, "main", "scan") == 0


def test_a_card_is_held_up_until_its_next_stage_takes_it(say: Any, books: Making) -> None:
    one = books()
    view = one.apply(say.finished("a", "build", at=2, next_stage="test", held_up=True))

    assert view.value(c.STAGE_HELD_UP, "main", "build") == 1

    one.apply(say.queued("a", "test", at=9))

    assert view.value(c.STAGE_HELD_UP, "main", "build") == 0


@pytest.mark.parametrize(
    ("told", "last", "expected"),
    [
        pytest.param("test", False, 1, id="the finish says where the card goes"),
        pytest.param(None, False, 1, id="the next run tells"),
        pytest.param(None, True, 0, id="the last step leads nowhere"),
    ],
)
def test_transitions(say: Any, books: Making, told: str | None, last: bool, expected: int) -> None:
    view = books().apply(say.finished("a", "build", at=2, next_stage=told, last=last), say.queued("a", "test", at=3))

    assert (view.value(c.STAGE_TRANSITIONS, "main", "build", "test") or 0) == expected


def test_the_same_id_counts_once(say: Any, books: Making) -> None:
    event = say.card_started("a", at=1)
    view = books().apply(event, event)

    assert view.value(c.CARDS_STARTED, "main") == 1
    assert view.value(c.EVENTS_DUPLICATE) == 1
    assert view.value(c.EVENTS_APPLIED, "jelmore.card.started") == 1


def test_the_same_step_under_another_id_counts_once(say: Any, books: Making) -> None:
    """A repetition beyond the horizon of ids is still refused, as the card knows its own life."""
    view = books().apply(say.started("a", "build", at=1), say.started("a", "build", at=1))

    assert view.value(c.STAGE_RUNS_STARTED, "main", "build") == 1
    assert view.value(c.EVENTS_DUPLICATE) == 1


def test_ids_are_forgotten_after_the_horizon(say: Any, books: Making) -> None:
    """Then the card itself still refuses the repetition; a thing without a life of its own counts again."""
    one = books(deduplication_seconds=600.0)
    gate = say.event(
        e.GateEvaluated, e.GateEvaluatedData(pipeline="main", gate="coverage", verdict=e.Verdict.PASSED), "a", 0, "g"
    )
    view = one.apply(gate, arrived=1000.0)
    one.apply(gate, arrived=1599.0)

    assert view.value(c.GATE_EVALUATIONS, "main", "coverage", "passed") == 1

    one.apply(say.card_queued("b", at=5), arrived=1700.0)
    one.apply(gate, arrived=1701.0)

    assert view.value(c.GATE_EVALUATIONS, "main", "coverage", "passed") == 2


def test_events_in_the_wrong_order_give_the_same_figures(say: Any, books: Making) -> None:
    """Durations come from event times, so every order of a card's six events ends in the same totals."""
    import itertools

    events = [
        say.card_queued("a", at=0),
        say.card_started("a", at=10),
        say.queued("a", "build", at=10),
        say.started("a", "build", at=12),
        say.finished("a", "build", at=20),
        say.card_finished("a", at=21),
    ]
    for order in itertools.permutations(events):
        view = books().apply(*order)
        actual = [totals(view, c.CARD_WAIT), totals(view, c.CARD_PROCESSING)]
        actual += [totals(view, c.STAGE_QUEUE_TIME), totals(view, c.STAGE_RUN_TIME)]
        gauges = [
            view.value(gauge, *labels)
            for gauge, labels in (
                (c.CARDS_WAITING, ("main",)),
                (c.CARDS_IN_PROGRESS, ("main",)),
                (c.STAGE_QUEUE_DEPTH, ("main", "build")),
                (c.STAGE_IN_PROGRESS, ("main", "build")),
            )
        ]

        assert actual == [(1, 10.0), (1, 11.0), (1, 2.0), (1, 8.0)], [type(event).__name__ for event in order]
        assert gauges == [0, 0, 0, 0]


def test_a_late_event_counts_but_does_not_move_the_present(say: Any, books: Making) -> None:
    view = books().apply(say.card_started("a", at=10), say.card_finished("a", at=20), say.card_queued("a", at=5))

    assert view.value(c.CARDS_QUEUED, "main") == 1
    assert view.value(c.CARDS_WAITING, "main") == 0
    assert view.value(c.EVENTS_LATE) == 1


def test_a_negative_duration_is_zero_and_counted(say: Any, books: Making) -> None:
    view = books().apply(say.started("a", "build", at=10), say.finished("a", "build", at=8))

    assert totals(view, c.STAGE_RUN_TIME) == (1, 0.0)
    assert view.value(c.EVENTS_SKEWED) == 1


def test_a_clock_that_stands_at_zero_does_no_harm(say: Any, books: Making) -> None:
    """Durations of two thousand years; what is counted is kept and taken up like any other."""
    one = books()
    one.ledger.now = START.timestamp()
    zero = datetime.min.replace(tzinfo=UTC)
    for number in range(3000):
        queued = e.make(e.CardQueued, e.CardData(pipeline="main"), source="/", subject=f"card-{number}", time=zero)
        one._tracker.apply([queued, say.card_started(f"card-{number}", at=0)])
    one.commit()
    view = one.apply(say.card_started("on", at=1))

    assert totals(view, c.CARD_WAIT) == (3000, 3000 * (START - zero).total_seconds())

    stored = drain_all(one.ledger).entries["c4:main:card-0"]
    assert stored is not None
    card = decode_entry(stored)
    assert isinstance(card, Card)
    assert card.queued == zero


def test_a_card_without_events_is_given_up_after_the_retention(say: Any, books: Making) -> None:
    one = books(retention_seconds=7 * 86400.0)
    view = one.apply(say.card_started("a", at=0), say.started("a", "build", at=1), arrived=0.0)
    one.apply(say.card_started("b", at=1), arrived=8 * 86400.0)

    assert view.value(c.CARDS_IN_PROGRESS, "main") == 1
    assert view.value(c.STAGE_IN_PROGRESS, "main", "build") == 0
    assert view.value(c.STAGE_OLDEST_RUNNING, "main", "build") is None


def test_finished_cards_are_forgotten(say: Any, books: Making) -> None:
    """Memory does not grow with the number of cards that went through."""
    one = books(finished_entries=10)
    for number in range(100):
        one.apply(say.card_started(f"card-{number}", at=number), say.card_finished(f"card-{number}", at=number + 1))

    assert len(one.ledger.pipelines["main"].cards) == 10


def test_two_pipelines_may_use_the_same_card_id(say: Any, books: Making) -> None:
    view = books().apply(
        say.card_started("1", at=0, pipeline="a"),
        say.card_started("1", at=5, pipeline="b"),
        say.card_finished("1", at=6, pipeline="a"),
    )

    assert view.value(c.CARDS_IN_PROGRESS, "a") == 0
    assert view.value(c.CARDS_IN_PROGRESS, "b") == 1


def test_sessions(say: Any, books: Making) -> None:
    one = books()
    view = one.apply(say.event(e.SessionStarted, e.SessionData(kind="agent"), "s", 0))

    assert view.value(c.SESSIONS_ACTIVE, "agent") == 1

    one.apply(say.event(e.SessionFinished, e.SessionFinishedData(kind="agent", outcome=e.Outcome.SUCCESS), "s", 90))

    assert view.value(c.SESSIONS_ACTIVE, "agent") == 0
    assert view.value(c.SESSIONS_FINISHED, "agent", "success") == 1
    assert totals(view, c.SESSION_TIME) == (1, 90.0)


def test_quality_calls_work_and_actions_are_counted(say: Any, books: Making) -> None:
    gate = e.GateEvaluatedData(pipeline="main", gate="coverage", verdict=e.Verdict.FAILED)
    test = e.TestFinishedData(
        pipeline="main", category="unit", outcome=e.TestOutcome.FAILED, duration_seconds=0.5, failure_reason="assertion"
    )
    scan = e.ScanFinishedData(
        pipeline="main", scanner="sast", outcome=e.Outcome.SUCCESS, findings={e.Severity.HIGH: 3}, duration_seconds=9
    )
    call = e.CallFinishedData(target="billing", outcome=e.Outcome.ERROR, duration_seconds=0.25, error="connect")
    work = e.WorkRecordedData(tool="editor", kind="edit", duration_seconds=2)
    asked = e.ActionRequestedData(action="scale_up", requested_by="Stall")
    done = e.ActionFinishedData(action="scale_up", outcome=e.Outcome.SUCCESS)
    view = books().apply(
        say.event(e.GateEvaluated, gate, "a", 0),
        say.event(e.TestFinished, test, "a", 0),
        say.event(e.ScanFinished, scan, "a", 0),
        say.event(e.CallFinished, call, None, 0),
        say.event(e.WorkRecorded, work, None, 0),
        say.event(e.ActionRequested, asked, "action-1", 0),
        say.event(e.ActionFinished, done, "action-1", 1),
    )

    assert view.value(c.GATE_EVALUATIONS, "main", "coverage", "failed") == 1
    assert view.value(c.GATE_EVALUATIONS, "main", "coverage", "passed") == 0
    assert view.value(c.TESTS_FINISHED, "main", "unit", "failed") == 1
    assert view.value(c.TEST_FAILURES, "main", "unit", "assertion") == 1
    assert totals(view, c.TEST_TIME) == (1, 0.5)
    assert view.value(c.SCAN_FINDINGS, "main", "sast", "high") == 3
    assert view.value(c.SCAN_FINDINGS, "main", "sast", "critical") == 0
    assert totals(view, c.SCAN_TIME) == (1, 9.0)
    assert view.value(c.CALLS_FINISHED, "billing", "error") == 1
    assert view.value(c.CALL_ERRORS, "billing", "connect") == 1
    assert view.value(c.WORK_RECORDED, "editor", "edit", "success") == 1
    assert view.value(c.ACTIONS_REQUESTED, "scale_up") == 1
    assert view.value(c.ACTIONS_FINISHED, "scale_up", "success") == 1


def test_the_newest_declaration_counts(say: Any, books: Making) -> None:
    def declared(at: float, *stages: e.StageDeclaration, stall: float | None = None) -> Any:
        data = e.PipelineDeclaredData(pipeline="main", stages=stages, stall_limit_seconds=stall)
        return say.event(e.PipelineDeclared, data, None, at)

    view = books().apply(
        declared(10, e.StageDeclaration(stage="build", workers=2), e.StageDeclaration(stage="test"), stall=600),
        declared(20, e.StageDeclaration(stage="test", time_limit_seconds=60)),
        declared(5, e.StageDeclaration(stage="older", workers=9)),
    )

    assert view.value(c.STAGE_POSITION, "main", "test") == 1
    assert view.value(c.STAGE_TIME_LIMIT, "main", "test") == 60
    assert view.value(c.STAGE_WORKERS, "main", "build") is None
    assert view.value(c.STAGE_POSITION, "main", "older") is None
    assert view.value(c.STALL_LIMIT, "main") is None
    assert view.value(c.STAGE_RUNS_FINISHED, "main", "build", "timeout") == 0  # declared is known


def test_a_label_value_above_the_limit_goes_to_other(say: Any, books: Making) -> None:
    view = books(label_values=2).apply(
        say.started("a", "one", at=0),
        say.started("a", "two", at=0),
        say.started("a", "three", at=0),
        say.started("a", "four", at=0),
    )

    assert view.value(c.STAGE_RUNS_STARTED, "main", "one") == 1
    assert view.value(c.STAGE_RUNS_STARTED, "main", "other") == 2
    assert view.value(c.STAGE_IN_PROGRESS, "main", "other") == 2
    assert view.value(c.STAGE_RUNS_STARTED, "main", "three") is None
    assert view.value(c.LABELS_OVERFLOWED, c.STAGE_RUNS_STARTED.name) == 2


def test_a_stage_that_is_really_called_other_keeps_its_own_series(say: Any, books: Making) -> None:
    view = books(label_values=1).apply(say.started("a", "other", at=0), say.started("a", "test", at=0))

    assert view.value(c.STAGE_RUNS_STARTED, "main", "other'") == 1
    assert view.value(c.STAGE_RUNS_STARTED, "main", "other") == 1


def test_an_event_of_a_distant_year_does_not_hide_a_stall(say: Any, books: Making) -> None:
    """Its time is taken as at most 15 minutes ahead of its arrival; figures stay usable."""
    one = books()
    one.apply(say.card_started("a", at=0))
    view = one.apply(say.card_finished("a", at=8000 * 365 * 86400 / 100), arrived=1767225600.0 + 60)

    assert view.value(c.LAST_ACTIVITY, "main") == 1767225600.0 + 60 + 900
    assert totals(view, c.CARD_PROCESSING) == (1, 960.0)
    assert view.value(c.EVENTS_SKEWED) == 1
