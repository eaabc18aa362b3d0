"""Events of cards and stages from the runs of an event log: no I/O, in order of time, ids derived from the content."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from jelmon.events import (
    CardData,
    CardFinished,
    CardFinishedData,
    CardQueued,
    CardStarted,
    Data,
    Envelope,
    StageData,
    StageFinished,
    StageFinishedData,
    StageQueued,
    StageStarted,
    StageStartedData,
    make,
)
from jelmon.tools.eventlog.runs import Run

SOURCE = "/jelmon/replay"
_NAMESPACE = uuid.UUID("6f7a0f0e-5a3c-5c0e-9f39-0c8f0f7c2f61")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# order at the same instant: ends before beginnings, except that a run of no length ends after it begins
_ENDS, _CARD_QUEUED, _QUEUED, _CARD_STARTED, _STARTED, _ENDS_AT_ONCE, _CARD_FINISHED = range(7)


@dataclass(frozen=True, slots=True)
class Totals:
    """The size of a log, for the summary."""

    cards: int
    open_cards: int
    runs: int
    first: int | None  # microseconds since 1970
    last: int | None


class _Moment(NamedTuple):
    time: int
    order: int
    number: int  # of the run in the log: keeps equal moments in the order of the file
    kind: type[Envelope]
    card: str
    data: Data


def totals_of(runs: list[Run]) -> Totals:
    """Return the totals of a log."""
    times = [time for run in runs for time in (run.queued, run.started, run.finished) if time is not None]
    cards = {run.case for run in runs}
    open_cards = {run.case for run in runs if run.finished is None}
    return Totals(len(cards), len(open_cards), len(runs), min(times, default=None), max(times, default=None))


def events_of(runs: list[Run], pipeline: str, *, shift: int = 0) -> Iterator[Envelope]:
    """Yield the events of a log in order of time, each shifted by ``shift`` microseconds.

    A card starts with the first start of its runs (or, in a log of ends only, with the first end) and finishes with
    the last end; it stays open as long as one of its runs does. The runs of one activity in one case get the attempts
    1, 2, ... in order of their start, so that each run has a distinct name. ``next_stage`` is the activity that
    starts next in the case.
    """
    moments: list[_Moment] = []
    for card, case_runs in _by_case(runs):
        moments += _card_moments(card, case_runs, pipeline)
        moments += _run_moments(card, case_runs, pipeline)
    moments.sort(key=lambda moment: moment[:3])
    for moment in moments:
        time = moment.time + shift
        yield make(
            moment.kind,
            moment.data,
            source=SOURCE,
            subject=moment.card,
            time=_EPOCH + timedelta(microseconds=time),
            id=_id_of(moment, pipeline, time),
        )


def _id_of(moment: _Moment, pipeline: str, time: int) -> str:
    """Return an id derived from the content, so that a second replay of the same log counts nothing twice."""
    data = moment.data
    name = (moment.kind.__name__, pipeline, moment.card, getattr(data, "stage", ""), getattr(data, "attempt", 0), time)
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(map(str, name))))


def _by_case(runs: list[Run]) -> Iterator[tuple[str, list[tuple[int, Run]]]]:
    cases: dict[str, list[tuple[int, Run]]] = {}
    for number, run in enumerate(runs):
        cases.setdefault(run.case, []).append((number, run))
    for card, case_runs in cases.items():
        case_runs.sort(key=lambda item: (_begun(item[1]), item[0]))
        yield card, case_runs


def _begun(run: Run) -> int:
    """Return when the run began: its start, else its end, else its queue time."""
    for time in (run.started, run.finished, run.queued):
        if time is not None:
            return time
    return 0


def _card_moments(card: str, case_runs: list[tuple[int, Run]], pipeline: str) -> Iterator[_Moment]:
    runs = [run for _, run in case_runs]
    number = case_runs[0][0]
    queued = min((run.queued for run in runs if run.queued is not None), default=None)
    started = min((run.started for run in runs if run.started is not None), default=None)
    finished = min((run.finished for run in runs if run.finished is not None), default=None)
    if started is None or (finished is not None and finished < started):
        started = finished
    if queued is not None and (started is None or queued <= started):
        yield _Moment(queued, _CARD_QUEUED, number, CardQueued, card, CardData(pipeline=pipeline))
    if started is not None:
        yield _Moment(started, _CARD_STARTED, number, CardStarted, card, CardData(pipeline=pipeline))
    last = _last(case_runs)
    if last is not None:
        data = CardFinishedData(pipeline=pipeline, outcome=last.outcome)
        yield _Moment(last.finished or 0, _CARD_FINISHED, number, CardFinished, card, data)


def _run_moments(card: str, case_runs: list[tuple[int, Run]], pipeline: str) -> Iterator[_Moment]:
    attempts: Counter[str] = Counter()
    following = [run.activity for _, run in case_runs[1:]]
    last = _last(case_runs)
    for place, (number, run) in enumerate(case_runs):
        attempts[run.activity] += 1
        stage, attempt = run.activity, attempts[run.activity]
        if run.queued is not None:
            data = StageData(pipeline=pipeline, stage=stage, attempt=attempt)
            yield _Moment(run.queued, _QUEUED, number, StageQueued, card, data)
        if run.started is not None:
            begun = StageStartedData(pipeline=pipeline, stage=stage, attempt=attempt, worker=run.resource)
            yield _Moment(run.started, _STARTED, number, StageStarted, card, begun)
        if run.finished is not None:
            at_once = run.finished in (run.started, run.queued)
            ended = StageFinishedData(
                pipeline=pipeline,
                stage=stage,
                attempt=attempt,
                worker=run.resource,
                outcome=run.outcome,
                next_stage=following[place] if place < len(following) and run is not last else None,
                last=run is last,
            )
            order = _ENDS_AT_ONCE if at_once else _ENDS
            yield _Moment(run.finished, order, number, StageFinished, card, ended)


def _last(case_runs: list[tuple[int, Run]]) -> Run | None:
    """Return the run that ended last, or None while one of them is open."""
    if any(run.finished is None for _, run in case_runs):
        return None
    return max(case_runs, key=lambda item: (item[1].finished or 0, item[0]))[1]
