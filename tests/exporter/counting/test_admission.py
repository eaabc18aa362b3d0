"""Series come and go; their number, and memory, stay bounded whatever producers call their stages."""

import tracemalloc
from collections.abc import Callable
from typing import Any

from jelmon import catalogue as c
from jelmon import events as e
from jelmon_exporter.counting.admission import Admission

DAY = 86400.0


def test_series_of_a_stage_that_is_heard_of_no_more_go(say: Any, books: Callable[..., Any]) -> None:
    """And make room for another; a declared stage, and one in which a card still is, stay."""
    one = books(label_values=3, idle_seconds=DAY, retention_seconds=30 * DAY)
    declared = e.PipelineDeclaredData(pipeline="main", stages=(e.StageDeclaration(stage="declared"),))
    view = one.apply(
        say.event(e.PipelineDeclared, declared, None, 0),
        say.finished("a", "old", at=1, next_stage="busy"),
        say.started("b", "busy", at=2),
        arrived=1000.0,
    )

    assert view.value(c.STAGE_RUNS_FINISHED, "main", "old", "success") == 1

    one.apply(say.started("b", "new", at=3), arrived=1000.0)

    assert view.value(c.STAGE_RUNS_STARTED, "main", "other") == 1

    one.apply(say.card_queued("z", at=4), arrived=1000.0 + 2 * DAY)

    assert view.value(c.STAGE_RUNS_FINISHED, "main", "old", "success") is None
    assert view.value(c.STAGE_TRANSITIONS, "main", "old", "busy") is None
    assert view.value(c.STAGE_IN_PROGRESS, "main", "busy") == 1
    assert view.value(c.STAGE_RUNS_STARTED, "main", "declared") == 0

    one.apply(say.started("c", "newest", at=5), say.finished("d", "busy", at=6, next_stage="newest"))

    assert view.value(c.STAGE_RUNS_STARTED, "main", "newest") == 1
    assert view.value(c.STAGE_TRANSITIONS, "main", "busy", "newest") == 1


def test_a_stage_that_comes_back_counts_from_zero(say: Any, books: Callable[..., Any]) -> None:
    one = books(idle_seconds=DAY, retention_seconds=30 * DAY)
    view = one.apply(say.started("a", "old", at=1), say.finished("a", "old", at=2), arrived=1000.0)
    one.apply(say.card_queued("z", at=4), arrived=1000.0 + 2 * DAY)
    one.apply(say.started("b", "old", at=5), arrived=1000.0 + 2 * DAY)

    assert view.value(c.STAGE_RUNS_STARTED, "main", "old") == 1
    assert view.value(c.STAGE_RUNS_FINISHED, "main", "old", "success") == 0


def test_series_of_targets_and_gates_go_too(say: Any, books: Callable[..., Any]) -> None:
    one = books(idle_seconds=DAY)
    call = e.CallFinishedData(target="gone", outcome=e.Outcome.ERROR, duration_seconds=1, error="connect")
    gate = e.GateEvaluatedData(pipeline="short", gate="lint", verdict=e.Verdict.PASSED)
    view = one.apply(say.event(e.CallFinished, call, None, 0), say.event(e.GateEvaluated, gate, "a", 0), arrived=1000.0)
    one.apply(say.card_queued("z", at=4), arrived=1000.0 + 2 * DAY)

    assert view.value(c.CALLS_FINISHED, "gone", "error") is None
    assert view.value(c.CALL_ERRORS, "gone", "connect") is None
    assert view.value(c.GATE_EVALUATIONS, "short", "lint", "passed") is None

    one.apply(say.event(e.CallFinished, call, None, 1), arrived=1000.0 + 2 * DAY)

    assert view.value(c.CALLS_FINISHED, "gone", "error") == 1


def test_an_hour_of_new_names_every_second_leaves_memory_flat(say: Any, books: Callable[..., Any]) -> None:
    """Each second brings a pipeline, a stage, a gate, a target, a session kind and a card that never existed before."""
    one = books(
        label_values=20, idle_seconds=900.0, deduplication_ids=1000, finished_seconds=60.0, retention_seconds=900.0
    )

    def second(number: int) -> None:
        gate = e.GateEvaluatedData(pipeline="main", gate=f"gate-{number}", verdict=e.Verdict.PASSED)
        call = e.CallFinishedData(target=f"target-{number}", outcome=e.Outcome.SUCCESS, duration_seconds=1)
        session = e.SessionFinishedData(kind=f"kind-{number}", outcome=e.Outcome.SUCCESS)
        one.apply(
            say.card_started(f"card-{number}", at=number, pipeline=f"pipeline-{number}"),
            say.queued(f"card-{number}", f"stage-{number}", at=number),
            say.finished(f"card-{number}", f"stage-{number}", at=number, next_stage=f"next-{number}"),
            say.event(e.GateEvaluated, gate, "a", number),
            say.event(e.CallFinished, call, None, number),
            say.event(e.SessionFinished, session, f"session-{number}", number),
            arrived=1_000_000.0 + number,
        )

    tracemalloc.start()
    sizes, cells = [], []
    for number in range(3600):
        second(number)
        if number in (1799, 3599):
            sizes.append(tracemalloc.get_traced_memory()[0])
            cells.append(len(one.ledger.table.cells))
    tracemalloc.stop()
    shown = sum(len(family) for family in one.view.families.values())

    assert cells[1] <= cells[0] * 1.1
    assert sizes[1] <= sizes[0] * 1.1
    assert shown <= cells[1]
    assert one.view.value(c.LABELS_OVERFLOWED, c.CALLS_FINISHED.name) > 1000


def test_a_label_value_has_room_again_when_its_last_holder_lets_go() -> None:
    admission = Admission(1)

    assert admission.admit(("kind",), "a", holder=1) == "a"
    assert admission.admit(("kind",), "a", holder=2) == "a"
    assert admission.admit(("kind",), "b", holder=2) == "other"

    admission.release(("kind",), "a", holder=1)

    assert admission.admit(("kind",), "b", holder=2) == "other"

    admission.release_all(2)

    assert admission.admit(("kind",), "b", holder=2) == "b"
