"""What events of cards and stages do to a ledger. A handler returns False if the event only repeats what is known.

Each handler begins with the case that is by far the most frequent, written out without calls; it adds to the plain
numbers of a `Flow`. Everything else may take its time.
"""

from datetime import datetime

from jelmon.events import (
    CardFinished,
    CardQueued,
    CardStarted,
    Envelope,
    StageFinished,
    StageQueued,
    StageRetried,
    StageStarted,
)
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.pipeline_series import NEVER, PipelineSeries, StageSeries
from jelmon_exporter.series.cells import HistogramCell
from jelmon_exporter.state.lifecycle import Life, Place, Step, place
from jelmon_exporter.state.model import Card, RunKey, attempt_of, stage_of

# --- cards ---


def card_queued(ledger: Ledger, event: CardQueued, time: datetime) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    if not pipeline.busy:
        ledger.note(pipeline)
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = _new_card(pipeline, event.subject)
    else:
        match _place_card(ledger, pipeline, card, Step.QUEUED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                pipeline.more_queued += 1
                return True
            case Place.MISSING:
                card.queued = time
                if card.started is not None:
                    pipeline.waits.append(card.started - time)
                pipeline.more_queued += 1
                return True
            case Place.NEW:
                _begin_anew(ledger, pipeline, card)
            case Place.NEXT:
                pass
    card.queued, card.live = time, True
    pipeline.more_waiting += 1
    pipeline.more_queued += 1
    return True


def card_started(ledger: Ledger, event: CardStarted, time: datetime) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    if not pipeline.busy:
        ledger.note(pipeline)
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = _new_card(pipeline, event.subject)
    elif card.started is None and card.finished is None:
        pipeline.changed[event.subject] = card
        if card.queued is not None:
            pipeline.waits.append(time - card.queued)
        if card.live:
            pipeline.more_waiting -= 1
    else:
        match _place_card(ledger, pipeline, card, Step.STARTED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                return _count_started(pipeline, time)
            case Place.MISSING:
                card.started = time
                if card.queued is not None:
                    pipeline.waits.append(time - card.queued)
                if card.finished is not None and card.outcome is not None:
                    pipeline.ended[card.outcome].times.append(card.finished - time)
                return _count_started(pipeline, time)
            case _:
                _begin_anew(ledger, pipeline, card)
    card.started, card.live = time, True
    pipeline.more_running += 1
    return _count_started(pipeline, time)


def _count_started(flow: PipelineSeries, time: datetime) -> bool:
    flow.more_started += 1
    if time > flow.latest:
        flow.latest = time
    return True


def card_finished(ledger: Ledger, event: CardFinished, time: datetime) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    if not pipeline.busy:
        ledger.note(pipeline)
    outcome = event.data.outcome
    ended = pipeline.ended[outcome]
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = _new_card(pipeline, event.subject)
    elif card.finished is None:
        pipeline.changed[event.subject] = card
        if card.started is not None:
            if event.traceparent is None:
                ended.times.append(time - card.started)
            else:
                _observe(ledger, pipeline.time(outcome), card.started, time, event)
    else:
        match _place_card(ledger, pipeline, card, Step.FINISHED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                ended.count += 1
                pipeline.active(time)
                return True
            case _:
                _begin_anew(ledger, pipeline, card)
    ledger.close(pipeline, card)
    card.finished, card.outcome = time, outcome
    ledger.over(card)
    ended.count += 1
    pipeline.active(time)
    return True


def _new_card(pipeline: PipelineSeries, card_id: str) -> Card:
    card = pipeline.cards[card_id] = pipeline.changed[card_id] = Card(pipeline=pipeline.name, id=card_id)
    return card


def _place_card(ledger: Ledger, pipeline: PipelineSeries, card: Card, step: Step, time: datetime) -> Place:
    """Where the event belongs in the card's own life; notes that the card changes, and that an event is late."""
    if card.queued is None and card.started is None and card.finished is None:
        found = Place.NEXT  # only its stages were heard of
    else:
        found = place(card, step, time)
    if found is Place.MISSING or found is Place.STALE:
        ledger.late.add()
    if found is not Place.REPEATED:
        pipeline.changed[card.id] = card
    return found


def _begin_anew(ledger: Ledger, pipeline: PipelineSeries, card: Card) -> None:
    """The card comes a second time: its first life is over, whether or not its end was told."""
    ledger.close(pipeline, card)
    card.queued = card.started = card.finished = card.outcome = None
    card.runs.clear()
    card.left = ""


# --- stages ---


def stage_queued(ledger: Ledger, event: StageQueued, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.note(pipeline, stage)
    card = pipeline.cards.get(event.subject) or _new_card(pipeline, event.subject)
    key = data.stage if data.attempt == 1 else (data.stage, data.attempt)
    life = card.runs.get(key)
    if life is not None:
        found = _place_run(ledger, pipeline, card, life, Step.QUEUED, time)
        if found is Place.REPEATED:
            return False
        if found is Place.STALE:
            return True
        if found is Place.MISSING:
            life.queued = time
            if life.started is not None:
                stage.waits.append(life.started - time)
            return True
        if life.live:
            ledger.close_run(pipeline, data.stage, life)
    life = _new_run(ledger, pipeline, stage, card, key, time)
    life.queued = time
    if life.live:
        stage.more_waiting += 1
        stage.waiting_ages.fresh.append(life)
    return True


def stage_started(ledger: Ledger, event: StageStarted, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.note(pipeline, stage)
    card = pipeline.cards.get(event.subject) or _new_card(pipeline, event.subject)
    key = data.stage if data.attempt == 1 else (data.stage, data.attempt)
    life = card.runs.get(key)
    if life is not None and life.started is None and life.finished is None:
        pipeline.changed[event.subject] = card
        if life.queued is not None:
            if event.traceparent is None:
                stage.waits.append(time - life.queued)
            else:
                _observe(ledger, stage.wait, life.queued, time, event)
        if life.live:
            stage.more_waiting -= 1
    elif life is not None:
        match _place_run(ledger, pipeline, card, life, Step.STARTED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                stage.more_started += 1
                pipeline.active(time)
                return True
            case Place.MISSING:
                life.started = time
                if life.queued is not None:
                    stage.waits.append(time - life.queued)
                if life.finished is not None and life.outcome is not None:
                    stage.ended[life.outcome].times.append(life.finished - time)
                stage.more_started += 1
                pipeline.active(time)
                return True
            case _:
                if life.live:
                    ledger.close_run(pipeline, data.stage, life)
                life = None
    if life is None:
        life = _new_run(ledger, pipeline, stage, card, key, time)
    life.started = time
    if life.live:
        stage.more_running += 1
        stage.running_ages.fresh.append(life)
    stage.more_started += 1
    if time > pipeline.latest:
        pipeline.latest = time
    return True


def stage_finished(ledger: Ledger, event: StageFinished, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.note(pipeline, stage)
    card = pipeline.cards.get(event.subject) or _new_card(pipeline, event.subject)
    key = data.stage if data.attempt == 1 else (data.stage, data.attempt)
    life = card.runs.get(key)
    outcome = data.outcome
    ended = stage.ended[outcome]
    if life is not None and life.finished is None:
        pipeline.changed[event.subject] = card
        if life.started is not None:
            if event.traceparent is None:
                ended.times.append(time - life.started)
            else:
                _observe(ledger, stage.time(outcome), life.started, time, event)
        if life.live:
            if life.started is not None:
                stage.more_running -= 1
            else:
                stage.more_waiting -= 1
            life.live = False
    elif life is not None:
        match _place_run(ledger, pipeline, card, life, Step.FINISHED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                ended.count += 1
                pipeline.active(time)
                return True
            case _:
                life = None
    if life is None:
        life = card.runs[key] = Life()
        pipeline.changed[event.subject] = card
    life.finished, life.outcome = time, outcome
    ended.count += 1
    if time > pipeline.latest:
        pipeline.latest = time
    if data.next_stage is None and not data.held_up:
        card.left = "" if data.last else stage.name or data.stage
    else:
        _leave(pipeline, card, stage, event)
    return True


def stage_retried(ledger: Ledger, event: StageRetried, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.note(pipeline, stage)
    stage.retries.add()
    pipeline.active(time)
    card = pipeline.cards.get(event.subject)
    if card is not None:  # an attempt that is to be repeated does not run any more, whether or not its end was told
        for key, life in card.runs.items():
            if stage_of(key) == data.stage and attempt_of(key) < data.attempt and life.live and _latest(life) <= time:
                ledger.close_run(pipeline, data.stage, life)
                pipeline.changed[card.id] = card
    return True


def _observe(ledger: Ledger, histogram: HistogramCell, start: datetime, end: datetime, event: Envelope) -> None:
    """Count a duration that ends with the event, and the event's trace as an example of it."""
    elapsed = ledger.elapsed(start, end)
    histogram.observe(elapsed)
    if event.traceparent is not None:
        histogram.exemplify(elapsed, event.traceparent, end)
        ledger.traced = True


def _latest(life: Life) -> datetime:
    return max(life.queued or NEVER, life.started or NEVER)


def _place_run(ledger: Ledger, pipeline: PipelineSeries, card: Card, life: Life, step: Step, time: datetime) -> Place:
    found = place(life, step, time)
    if found is Place.MISSING or found is Place.STALE:
        ledger.late.add()
    if found is not Place.REPEATED:
        pipeline.changed[card.id] = card
    return found


def _new_run(
    ledger: Ledger, pipeline: PipelineSeries, stage: StageSeries, card: Card, key: RunKey, time: datetime
) -> Life:
    """A run begins. It counts in the gauges unless its card is finished; what the card left behind is settled."""
    pipeline.changed[card.id] = card
    first_attempt = isinstance(key, str)
    if first_attempt:
        key = stage.name or key  # one string for all cards
    life = card.runs[key] = Life(live=card.finished is None)
    if card.finished is not None and time < card.finished:
        ledger.late.add()
    left = card.left
    if left and first_attempt:
        from_stage = pipeline.stages.get(left) or pipeline.stage(left)
        moves = from_stage.transitions.get(stage.name)
        if moves is not None:
            moves.add()
        else:
            pipeline.moved(from_stage, stage_of(key))
        card.left = ""
    if card.held:
        for held, next_stage in list(card.held.items()):
            if next_stage in ("", stage_of(key)):
                del card.held[held]
                pipeline.stage(held).held_up.add(-1)
    return life


def _leave(pipeline: PipelineSeries, card: Card, stage: StageSeries, event: StageFinished) -> None:
    """The card leaves a stage: for which, if that is said; otherwise the next run tells."""
    data = event.data
    if data.next_stage is not None:
        pipeline.moved(stage, data.next_stage)
        card.left = ""
    else:
        card.left = "" if data.last else stage.name or data.stage
    if data.held_up and card.finished is None and (card.held is None or data.stage not in card.held):
        card.held = {**(card.held or {}), data.stage: data.next_stage or ""}
        stage.held_up.add()
