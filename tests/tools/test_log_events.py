"""Runs of a log become the events that a pipeline would have told."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jelmon.events import Outcome, encode, parse
from jelmon.tools.eventlog.events import Totals, events_of, totals_of
from jelmon.tools.eventlog.runs import Run

S = 1_000_000
DAY_ZERO = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * S  # consumers refuse times before 2000


def told(runs: list[Run], **options: Any) -> list[tuple[float, str, str, dict[str, Any]]]:
    """Seconds, type, card and what is remarkable in the data, after a check that consumers accept the event."""
    lines = []
    options["shift"] = options.get("shift", 0) + DAY_ZERO
    for event in events_of(runs, "p", **options):
        again: Any = parse(encode(event))
        data = {name: getattr(again.data, name) for name in again.data.__struct_fields__}
        seconds = (again.time - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()
        plain = {
            "pipeline": "p",
            "attempt": 1,
            "outcome": Outcome.SUCCESS,
            "held_up": False,
            "last": False,
            "reason": "",
        }
        rest = {name: value for name, value in data.items() if value is not None and plain.get(name) != value}
        lines.append((seconds, type(again).__name__, again.subject, rest))
    return lines


def test_a_case_becomes_a_card_and_its_runs_stages() -> None:
    """The card is queued with its first queueing, starts with the first start, finishes with the last end."""
    runs = [
        Run("1", "A", 1 * S, 2 * S, 4 * S, "Ann"),
        Run("1", "B", 4 * S, 5 * S, 9 * S, None, Outcome.FAILURE),
    ]

    assert told(runs) == [
        (1, "CardQueued", "1", {}),
        (1, "StageQueued", "1", {"stage": "A"}),
        (2, "CardStarted", "1", {}),
        (2, "StageStarted", "1", {"stage": "A", "worker": "Ann"}),
        (4, "StageFinished", "1", {"stage": "A", "worker": "Ann", "next_stage": "B"}),
        (4, "StageQueued", "1", {"stage": "B"}),
        (5, "StageStarted", "1", {"stage": "B"}),
        (9, "StageFinished", "1", {"stage": "B", "last": True, "outcome": Outcome.FAILURE}),
        (9, "CardFinished", "1", {"outcome": Outcome.FAILURE}),
    ]


def test_parallel_branches_end_the_card_with_the_last_of_them() -> None:
    """Not with the row that comes last."""
    runs = [Run("1", "A", None, 1 * S, 9 * S), Run("1", "B", None, 2 * S, 3 * S, None, Outcome.SKIPPED)]
    lines = told(runs)

    assert [line[:2] for line in lines if line[1] == "CardFinished"] == [(9, "CardFinished")]
    assert (9, "StageFinished", "1", {"stage": "A", "last": True}) in lines


def test_repeated_activities_get_attempts_of_their_own() -> None:
    """Even when they overlap, each run can be told from the others; the order is that of the starts."""
    runs = [Run("1", "A", None, 2 * S, 5 * S), Run("1", "A", None, 1 * S, 4 * S), Run("2", "A", None, 3 * S, 4 * S)]
    attempts = [
        (seconds, card, data.get("attempt", 1)) for seconds, kind, card, data in told(runs) if kind == "StageStarted"
    ]

    assert attempts == [(1, "1", 1), (2, "1", 2), (3, "2", 1)]


def test_a_run_of_no_length_keeps_its_order() -> None:
    """Queued, started, finished at one instant; and what ended at that instant comes before."""
    runs = [Run("1", "B", 3 * S, 3 * S, 3 * S), Run("1", "A", 1 * S, 1 * S, 3 * S)]

    assert [line[1] + " " + line[3].get("stage", "") for line in told(runs) if line[0] == 3] == [
        "StageFinished A",
        "StageQueued B",
        "StageStarted B",
        "StageFinished B",
        "CardFinished ",
    ]


def test_an_open_run_leaves_its_card_open() -> None:
    """A log is often a cut-out: what has not ended is not ended."""
    runs = [Run("1", "A", None, 1 * S, 2 * S), Run("1", "B", None, 2 * S, None)]

    assert [line[1] for line in told(runs)] == ["CardStarted", "StageStarted", "StageFinished", "StageStarted"]
    assert totals_of(runs) == Totals(cards=1, open_cards=1, runs=2, first=1 * S, last=2 * S)


def test_a_log_of_ends_starts_its_cards_with_the_first_end() -> None:
    """No start is invented for stages; the card's time runs from the first row to the last."""
    runs = [Run("1", "A", finished=1 * S), Run("1", "B", finished=4 * S)]

    assert [line[:2] for line in told(runs)] == [
        (1, "StageFinished"),
        (1, "CardStarted"),
        (4, "StageFinished"),
        (4, "CardFinished"),
    ]


def test_ids_follow_from_the_content() -> None:
    """The same log has the same ids; another pipeline, another time or a shifted replay has others."""
    runs = [Run("1", "A", 1 * S, 2 * S, 4 * S), Run("1", "A", 5 * S, 6 * S, 7 * S)]

    def ids(*arguments: Any, **options: Any) -> set[str]:
        return {event.id for event in events_of(*arguments, **options)}

    assert len(ids(runs, "p")) == len(list(events_of(runs, "p"))) == 9
    assert ids(list(reversed(runs)), "p") == ids(runs, "p")
    assert not ids(runs, "p") & ids(runs, "q")
    assert not ids(runs, "p") & ids(runs, "p", shift=1)


def test_a_shift_moves_every_time_alike() -> None:
    """Durations stay."""
    runs = [Run("1", "A", 1 * S, 2 * S, 4 * S)]
    before, after = list(events_of(runs, "p")), list(events_of(runs, "p", shift=5 * S))

    assert {late.time - early.time for early, late in zip(before, after, strict=True)} == {timedelta(seconds=5)}
