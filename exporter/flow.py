"""What events of cards and stages do to a ledger. A handler returns False if the event only repeats what is known."""

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
from jelmon.exporter.ledger import Ledger
from jelmon.exporter.lifecycle import Life, Place, Step, place
from jelmon.exporter.series import PipelineSeries, StageSeries
from jelmon.exporter.state.cells import HistogramCell
from jelmon.exporter.state.model import Card, StageKey

# --- cards ---


def card_queued(ledger: Ledger, event: CardQueued, time: int) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = _new_card(ledger, pipeline, event.subject)
    else:
        match _place_card(ledger, card, Step.QUEUED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                pipeline.queued.add()
                return True
            case Place.MISSING:
                card.queued = time
                if card.started is not None:
                    pipeline.wait.observe(ledger.elapsed(time, card.started))
                pipeline.queued.add()
                return True
            case Place.NEW:
                _begin_anew(ledger, pipeline, card)
            case Place.NEXT:
                pass
    card.queued, card.live = time, True
    pipeline.waiting.add()
    pipeline.queued.add()
    return True


def card_started(ledger: Ledger, event: CardStarted, time: int) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = _new_card(ledger, pipeline, event.subject)
    else:
        match _place_card(ledger, card, Step.STARTED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                return _count_started(pipeline, time)
            case Place.MISSING:
                card.started = time
                if card.queued is not None:
                    pipeline.wait.observe(ledger.elapsed(card.queued, time))
                if card.finished is not None and card.outcome is not None:
                    pipeline.processing(card.outcome).observe(ledger.elapsed(time, card.finished))
                return _count_started(pipeline, time)
            case Place.NEW:
                _begin_anew(ledger, pipeline, card)
            case Place.NEXT:
                if card.queued is not None:
                    pipeline.wait.observe(ledger.elapsed(card.queued, time))
                if card.live:
                    pipeline.waiting.add(-1)
    card.started, card.live = time, True
    pipeline.in_progress.add()
    return _count_started(pipeline, time)


def _count_started(pipeline: PipelineSeries, time: int) -> bool:
    pipeline.started.add()
    pipeline.active(time)
    return True


def card_finished(ledger: Ledger, event: CardFinished, time: int) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    outcome = event.data.outcome
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = _new_card(ledger, pipeline, event.subject)
    else:
        match _place_card(ledger, card, Step.FINISHED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                pipeline.finished.add(outcome)
                pipeline.active(time)
                return True
            case Place.NEW:
                _begin_anew(ledger, pipeline, card)
            case Place.NEXT | Place.MISSING:
                if card.started is not None:
                    _observe(ledger, pipeline.processing(outcome), card.started, time, event)
    ledger.close(pipeline, card)
    card.finished, card.outcome = time, outcome.value
    ledger.over(card)
    pipeline.finished.add(outcome)
    pipeline.active(time)
    return True


def _new_card(ledger: Ledger, pipeline: PipelineSeries, card_id: str) -> Card:
    card = pipeline.cards[card_id] = Card(pipeline=pipeline.name, id=card_id)
    ledger.touch(card)
    return card


def _place_card(ledger: Ledger, card: Card, step: Step, time: int) -> Place:
    """Where the event belongs in the card's own life; notes that the card changes, and that an event is late."""
    if card.queued is None and card.started is None and card.finished is None:
        found = Place.NEXT  # only its stages were heard of
    else:
        found = place(card, step, time)
    if found is Place.MISSING or found is Place.STALE:
        ledger.late.add()
    if found is not Place.REPEATED:
        ledger.touch(card)
    return found


def _begin_anew(ledger: Ledger, pipeline: PipelineSeries, card: Card) -> None:
    """The card comes a second time: its first life is over, whether or not its end was told."""
    ledger.close(pipeline, card)
    card.queued = card.started = card.finished = card.outcome = None
    card.runs.clear()
    card.left = ""


# --- stages ---


def stage_queued(ledger: Ledger, event: StageQueued, time: int) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    card = pipeline.cards.get(event.subject) or _new_card(ledger, pipeline, event.subject)
    key = (data.stage, data.attempt)
    life = card.runs.get(key)
    if life is not None:
        found = _place_run(ledger, card, life, Step.QUEUED, time)
        if found is Place.REPEATED:
            return False
        if found is Place.STALE:
            return True
        if found is Place.MISSING:
            life.queued = time
            if life.started is not None:
                stage.queue_time.observe(ledger.elapsed(time, life.started))
            return True
        if life.live:
            ledger.close_run(pipeline, data.stage, life)
    life = _new_run(ledger, pipeline, card, key, time)
    life.queued = time
    if life.live:
        stage.queue_depth.add()
        stage.waiting.fresh.append((time, life))
    return True


def stage_started(ledger: Ledger, event: StageStarted, time: int) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    card = pipeline.cards.get(event.subject) or _new_card(ledger, pipeline, event.subject)
    key = (data.stage, data.attempt)
    life = card.runs.get(key)
    if life is not None and life.started is None and life.finished is None:  # by far the most frequent
        ledger.touch(card)
        if life.queued is not None:
            _observe(ledger, stage.queue_time, life.queued, time, event)
        if life.live:
            stage.queue_depth.add(-1)
    elif life is not None:
        match _place_run(ledger, card, life, Step.STARTED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                return _count_run_started(pipeline, stage, time)
            case Place.MISSING:
                life.started = time
                if life.queued is not None:
                    stage.queue_time.observe(ledger.elapsed(life.queued, time))
                if life.finished is not None and life.outcome is not None:
                    stage.run_time(life.outcome).observe(ledger.elapsed(time, life.finished))
                return _count_run_started(pipeline, stage, time)
            case _:
                if life.live:
                    ledger.close_run(pipeline, data.stage, life)
                life = None
    if life is None:
        life = _new_run(ledger, pipeline, card, key, time)
    life.started = time
    if life.live:
        stage.in_progress.add()
        stage.running.fresh.append((time, life))
    return _count_run_started(pipeline, stage, time)


def _count_run_started(pipeline: PipelineSeries, stage: StageSeries, time: int) -> bool:
    stage.started.add()
    pipeline.active(time)
    return True


def stage_finished(ledger: Ledger, event: StageFinished, time: int) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    card = pipeline.cards.get(event.subject) or _new_card(ledger, pipeline, event.subject)
    key = (data.stage, data.attempt)
    life = card.runs.get(key)
    outcome = data.outcome
    if life is not None and life.finished is None:  # by far the most frequent
        ledger.touch(card)
        if life.started is not None:
            _observe(ledger, stage.run_time(outcome), life.started, time, event)
        if life.live:
            (stage.in_progress if life.started is not None else stage.queue_depth).add(-1)
            life.live = False
    elif life is not None:
        match _place_run(ledger, card, life, Step.FINISHED, time):
            case Place.REPEATED:
                return False
            case Place.STALE:
                stage.finished.add(outcome)
                pipeline.active(time)
                return True
            case _:
                life = None
    if life is None:
        life = card.runs[key] = Life()
        ledger.touch(card)
    life.finished, life.outcome = time, outcome.value
    stage.finished.add(outcome)
    pipeline.active(time)
    _leave(pipeline, card, stage, event)
    return True


def stage_retried(ledger: Ledger, event: StageRetried, time: int) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    stage.retries.add()
    pipeline.active(time)
    card = pipeline.cards.get(event.subject)
    if card is not None:  # an attempt that is to be repeated does not run any more, whether or not its end was told
        for (name, attempt), life in card.runs.items():
            if name == data.stage and attempt < data.attempt and life.live and _latest(life) <= time:
                ledger.close_run(pipeline, name, life)
                ledger.touch(card)
    return True


def _observe(ledger: Ledger, histogram: HistogramCell, start: int, end: int, event: Envelope) -> None:
    """Count a duration that ends with the event, and the event's trace as an example of it."""
    elapsed = ledger.elapsed(start, end)
    histogram.observe(elapsed)
    if event.traceparent is not None:
        histogram.exemplify(elapsed, event.traceparent, end)
        ledger.traced = True


def _latest(life: Life) -> int:
    return max(life.queued or 0, life.started or 0)


def _place_run(ledger: Ledger, card: Card, life: Life, step: Step, time: int) -> Place:
    found = place(life, step, time)
    if found is Place.MISSING or found is Place.STALE:
        ledger.late.add()
    if found is not Place.REPEATED:
        ledger.touch(card)
    return found


def _new_run(ledger: Ledger, pipeline: PipelineSeries, card: Card, key: StageKey, time: int) -> Life:
    """A run begins. It counts in the gauges unless its card is finished; what the card left behind is settled."""
    ledger.touch(card)
    life = card.runs[key] = Life()
    life.live = card.finished is None
    if not life.live and card.finished is not None and time < card.finished:
        ledger.late.add()
    if card.left and key[1] == 1:
        pipeline.moved(pipeline.stage(card.left), key[0])
        card.left = ""
    if card.held:
        for held, next_stage in list(card.held.items()):
            if next_stage in ("", key[0]):
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
        card.left = "" if data.last else data.stage
    if data.held_up and card.finished is None and data.stage not in card.held:
        card.held[data.stage] = data.next_stage or ""
        stage.held_up.add()
