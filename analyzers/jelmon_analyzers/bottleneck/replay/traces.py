"""What each recorded card did since the begin of the replay, and will probably still do."""

import itertools
import random
from typing import NamedTuple

from jelmon_analyzers.bottleneck.line.cards import CardProgress, Phase, Visit
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.stage import Run
from jelmon_analyzers.bottleneck.replay.model import CardTrace, LineModel, Position


class _RecordedVisit(NamedTuple):
    """A visit with the times of its events; those still to come are estimated."""

    stage: int
    queued: float
    started: float
    finished: float
    service_time: float
    blocked: bool

    @classmethod
    def of(cls, stage: int, run: Run) -> "_RecordedVisit":
        queued = run.queued if run.queued is not None else run.started
        return cls(stage, queued, run.started, run.finished, max(0.0, run.finished - run.started), run.blocked)


def traces_of(line: Line, model: LineModel, begin: float, now: float) -> list[CardTrace]:
    """Return the traces of all cards in the line between ``begin`` and ``now``, by arrival; same input, same traces."""
    runs: dict[str, list[tuple[int, Run]]] = {}
    for index, stage in enumerate(line.stages):
        for run in stage.runs:
            if run.finished >= begin or run.blocked:
                runs.setdefault(run.card, []).append((index, run))
    present = {
        card_id
        for card_id, card in line.cards.items()
        if card.open or (card.arrived is not None and not card.entered and card.ended is None)
    }
    tracer = _Tracer(line, model, begin, now)
    traces = []
    for card_id in sorted(runs.keys() | present):
        visits = sorted(runs.get(card_id, []), key=lambda visit: visit[1].started)
        trace = tracer.trace(line.cards.get(card_id), [_RecordedVisit.of(index, run) for index, run in visits])
        if trace is not None:
            traces.append(trace)
    traces.sort(key=lambda trace: trace.arrival)
    return traces


class _Tracer:
    def __init__(self, line: Line, model: LineModel, begin: float, now: float) -> None:
        self._line = line
        self._model = model
        self._begin = begin
        self._now = now
        self._random = random.Random(1)
        self._service_times = [
            [max(0.0, run.finished - run.started) for run in stage.runs] or [0.0] for stage in line.stages
        ]

    def trace(self, card: CardProgress | None, visits: list[_RecordedVisit]) -> CardTrace | None:
        """Return the trace of one card; None if all of it was over before the begin."""
        last = visits[-1].stage if visits else None
        if card is not None:
            for stage, visit in card.open.items():
                if visit.phase is not Phase.BLOCKED:
                    visits.append(self._open_visit(stage, visit))
                    last = stage
        self._drop_past(visits)
        is_open = card is not None and bool(card.open)
        if not visits:
            return self._trace_from_outside(card) if card is not None and not is_open else None
        if len(visits) == 1 and visits[0].finished < self._begin and not is_open:
            return None
        ahead = self._route_from(last) if card is not None and card.ended is None and last is not None else []
        return self._trace_of_visits(card, visits, ahead)

    def _open_visit(self, stage: int, visit: Visit) -> _RecordedVisit:
        """Complete a visit that is not over with a recorded service time."""
        queued = visit.queued if visit.queued is not None else visit.since
        recorded = self._service_times[stage]
        if visit.phase is Phase.WAITING:
            return _RecordedVisit(stage, queued, self._now, self._now, self._random.choice(recorded), False)
        started = visit.started if visit.started is not None else visit.since
        elapsed = self._now - started
        longer = [seconds for seconds in recorded if seconds > elapsed]
        service_time = self._random.choice(longer) if longer else elapsed + self._random.choice(recorded)
        return _RecordedVisit(stage, queued, started, started + service_time, service_time, False)

    def _drop_past(self, visits: list[_RecordedVisit]) -> None:
        """Drop what was over before the begin, except a visit whose card was still blocked then."""
        begin = self._begin
        while len(visits) > 1 and visits[0].finished < begin:
            if visits[0].blocked and visits[1].queued > begin:
                break
            visits.pop(0)

    def _trace_from_outside(self, card: CardProgress) -> CardTrace | None:
        """Return the probable trace of a card that arrived and waits outside."""
        entries = self._line.work_in_process.entries
        if card.arrived is None or not entries:
            return None
        entry = max(entries, key=entries.__getitem__)
        stages = [entry, *self._route_from(entry)]
        return CardTrace(card.arrived, stages, [self._sample(stage) for stage in stages], [0.0] * len(stages))

    def _trace_of_visits(
        self, card: CardProgress | None, visits: list[_RecordedVisit], ahead: list[int]
    ) -> CardTrace | None:
        first = visits[0]
        position = self._position_at_begin(first)
        if position is Position.BLOCKED and len(visits) + len(ahead) < 2:
            return None
        service_times = [visit.service_time for visit in visits]
        if position is Position.IN_SERVICE:
            service_times[0] = first.finished - self._begin
        service_times += [self._sample(stage) for stage in ahead]
        transfer_times = [0.0]
        for before, after in itertools.pairwise(visits):
            transfer_times.append(0.0 if before.blocked else max(0.0, after.queued - before.finished))
        transfer_times += [0.0] * len(ahead)
        return CardTrace(
            first.queued if position is Position.WAITING else self._arrival(card, first),
            [*(visit.stage for visit in visits), *ahead],
            service_times,
            transfer_times,
            position,
        )

    def _position_at_begin(self, first: _RecordedVisit) -> Position:
        if first.finished < self._begin:
            return Position.BLOCKED
        if first.started < self._begin:
            return Position.IN_SERVICE
        return Position.WAITING if first.queued < self._begin else Position.OUTSIDE

    def _arrival(self, card: CardProgress | None, first: _RecordedVisit) -> float:
        """Return when the card came to the line, which is before its first queue if that has a limit."""
        waits_outside = self._model.wip_limit is not None or self._model.capacities[first.stage] is not None
        is_entry = first.stage in self._line.work_in_process.entries
        if waits_outside and is_entry and card is not None and card.arrived is not None:
            return min(card.arrived, first.queued)
        return first.queued

    def _route_from(self, stage: int) -> list[int]:
        return self._line.routing.sample(stage, self._random, most=len(self._line.stages))

    def _sample(self, stage: int) -> float:
        return self._random.choice(self._service_times[stage])
