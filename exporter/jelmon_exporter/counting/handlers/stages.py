"""Events of stage runs. Each handler returns False if the event only repeats what is known.

The most frequent case comes first, written without calls; see `cards`.
"""

from datetime import datetime

from jelmon.events import StageFinished, StageQueued, StageRetried, StageStarted
from jelmon_exporter.counting.handlers.cards import new_card
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.pipeline_series import NEVER, PipelineSeries, StageSeries
from jelmon_exporter.state.lifecycle import EventOrder, Lifecycle, Step, classify
from jelmon_exporter.state.model import Card, RunKey, attempt_of, stage_of

MOST_RUNS = 1000
"""Runs of one card that are known at a time: the whole card is stored again whenever it changes."""


def stage_queued(ledger: Ledger, event: StageQueued, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.mark_busy(pipeline, stage)
    card = pipeline.cards.get(event.subject) or new_card(pipeline, event.subject)
    key = data.stage if data.attempt == 1 else (data.stage, data.attempt)
    life = card.runs.get(key)
    if life is not None:
        order = _order(ledger, pipeline, card, life, Step.QUEUED, time)
        if order is EventOrder.DUPLICATE:
            return False
        if order is EventOrder.STALE:
            return True
        if order is EventOrder.BACKFILL:
            life.queued = time
            if life.started is not None:
                stage.waits.append(life.started - time)
            return True
        if life.live:
            ledger.close_run(pipeline, data.stage, life)
    life = _new_run(ledger, pipeline, stage, card, key, time)
    life.queued = time
    if life.live:
        stage.waiting_delta += 1
        stage.waiting_items.fresh.append(life)
    return True


def stage_started(ledger: Ledger, event: StageStarted, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.mark_busy(pipeline, stage)
    card = pipeline.cards.get(event.subject) or new_card(pipeline, event.subject)
    key = data.stage if data.attempt == 1 else (data.stage, data.attempt)
    life = card.runs.get(key)
    if life is not None and life.started is None and life.finished is None:
        pipeline.changed[event.subject] = card
        if life.queued is not None:
            if event.traceparent is None:
                stage.waits.append(time - life.queued)
            else:
                ledger.observe(stage.wait, life.queued, time, event)
        if life.live:
            stage.waiting_delta -= 1
    elif life is not None:
        order = _order(ledger, pipeline, card, life, Step.STARTED, time)
        if order is not EventOrder.NEW:
            return order is not EventOrder.DUPLICATE and _count_late_start(pipeline, stage, life, order, time)
        if life.live:
            ledger.close_run(pipeline, data.stage, life)
        life = None
    if life is None:
        life = _new_run(ledger, pipeline, stage, card, key, time)
    life.started = time
    if life.live:
        stage.running_delta += 1
        stage.running_items.fresh.append(life)
    stage.started_delta += 1
    if time > pipeline.latest:
        pipeline.latest = time
    return True


def _count_late_start(
    pipeline: PipelineSeries, stage: StageSeries, life: Lifecycle, order: EventOrder, time: datetime
) -> bool:
    """Count a start that arrived late; if its run is still known, the durations that it completes."""
    if order is EventOrder.BACKFILL:
        life.started = time
        if life.queued is not None:
            stage.waits.append(time - life.queued)
        if life.finished is not None and life.outcome is not None:
            stage.ended[life.outcome].durations.append(life.finished - time)
    stage.started_delta += 1
    pipeline.record_activity(time)
    return True


def stage_finished(ledger: Ledger, event: StageFinished, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.mark_busy(pipeline, stage)
    card = pipeline.cards.get(event.subject) or new_card(pipeline, event.subject)
    key = data.stage if data.attempt == 1 else (data.stage, data.attempt)
    life = card.runs.get(key)
    outcome = data.outcome
    ended = stage.ended[outcome]
    if life is None:
        life = _run_without_start(ledger, pipeline, stage, card, key)
    elif life.finished is None:
        pipeline.changed[event.subject] = card
        if life.started is not None:
            if event.traceparent is None:
                ended.durations.append(time - life.started)
            else:
                ledger.observe(stage.duration(outcome), life.started, time, event)
        if life.live:
            if life.started is not None:
                stage.running_delta -= 1
            else:
                stage.waiting_delta -= 1
            life.live = False
    else:
        order = _order(ledger, pipeline, card, life, Step.FINISHED, time)
        if order is not EventOrder.NEW:
            return order is not EventOrder.DUPLICATE and _count_stale_end(pipeline, stage, outcome, time)
        life = card.runs[key] = Lifecycle()
    life.finished, life.outcome = time, outcome
    ended.count += 1
    if time > pipeline.latest:
        pipeline.latest = time
    if data.next_stage is None and not data.held_up:
        card.left = "" if data.last else stage.name or data.stage
    else:
        _leave(pipeline, card, stage, event)
    return True


def _run_without_start(
    ledger: Ledger, pipeline: PipelineSeries, stage: StageSeries, card: Card, key: RunKey
) -> Lifecycle:
    """Begin a run of which only the end is known."""
    if len(card.runs) >= MOST_RUNS:
        _forget_oldest(ledger, pipeline, card)
    pipeline.changed[card.id] = card
    if not isinstance(key, str):
        _count_retry(stage, card, stage_of(key), attempt_of(key))
    life = card.runs[key] = Lifecycle()
    return life


def _count_stale_end(pipeline: PipelineSeries, stage: StageSeries, outcome: str, time: datetime) -> bool:
    stage.ended[outcome].count += 1
    pipeline.record_activity(time)
    return True


def stage_retried(ledger: Ledger, event: StageRetried, time: datetime) -> bool:
    data = event.data
    pipeline = ledger.pipelines.get(data.pipeline) or ledger.pipeline(data.pipeline)
    stage = pipeline.stages.get(data.stage) or pipeline.stage(data.stage)
    if not stage.busy:
        ledger.mark_busy(pipeline, stage)
    card = pipeline.cards.get(event.subject) or new_card(pipeline, event.subject)
    pipeline.changed[card.id] = card
    attempt = data.attempt if data.attempt > 1 else _next_attempt(card, data.stage)
    _count_retry(stage, card, data.stage, attempt)
    pipeline.record_activity(time)
    for key, life in card.runs.items():  # an attempt that is to be repeated no longer runs, reported as finished or not
        if stage_of(key) == data.stage and attempt_of(key) < attempt and life.live and _latest(life) <= time:
            ledger.close_run(pipeline, data.stage, life)
    return True


def _count_retry(stage: StageSeries, card: Card, name: str, attempt: int) -> None:
    """Count the second or a later attempt once, whichever of its events comes first."""
    retried = card.retried or []
    if (name, attempt) not in retried:
        stage.retries.add()
        card.retried = [*retried[-MOST_RUNS:], (name, attempt)]


def _next_attempt(card: Card, name: str) -> int:
    """Return the attempt to come, for a producer that does not number its attempts."""
    known = [attempt_of(key) for key in card.runs if stage_of(key) == name]
    return 1 + max([1, *known, *(attempt for stage, attempt in card.retried or () if stage == name)])


def _latest(life: Lifecycle) -> datetime:
    return max(life.queued or NEVER, life.started or NEVER)


def _order(
    ledger: Ledger, pipeline: PipelineSeries, card: Card, life: Lifecycle, step: Step, time: datetime
) -> EventOrder:
    """Classify an event of a run; mark its card as changed, and count a late event."""
    order = classify(life, step, time)
    if order is EventOrder.BACKFILL or order is EventOrder.STALE:
        ledger.late.add()
    if order is not EventOrder.DUPLICATE:
        pipeline.changed[card.id] = card
    return order


def _new_run(
    ledger: Ledger, pipeline: PipelineSeries, stage: StageSeries, card: Card, key: RunKey, time: datetime
) -> Lifecycle:
    """Begin a run. It counts in the gauges unless its card is finished; it ends the card's stay in the stage before."""
    pipeline.changed[card.id] = card
    first_attempt = isinstance(key, str)
    if first_attempt:
        key = stage.name or key  # one string for all cards
        if card.retried and key in card.runs:  # the card is back at the stage: its attempts are counted from 1 again
            card.retried = [retry for retry in card.retried if retry[0] != key]
    else:
        _count_retry(stage, card, stage_of(key), attempt_of(key))
    if len(card.runs) >= MOST_RUNS:
        _forget_oldest(ledger, pipeline, card)
    life = card.runs[key] = Lifecycle(live=card.finished is None)
    if card.finished is not None and time < card.finished:
        ledger.late.add()
    left = card.left
    if left and first_attempt:
        from_stage = pipeline.stages.get(left) or pipeline.stage(left)
        transitions = from_stage.transitions.get(stage.name)
        if transitions is not None:
            transitions.add()
        else:
            pipeline.count_transition(from_stage, stage_of(key))
        card.left = ""
    if card.held:
        for held, next_stage in list(card.held.items()):
            if next_stage in ("", stage_of(key)):
                del card.held[held]
                pipeline.stage(held).held_up.add(-1)
    return life


def _forget_oldest(ledger: Ledger, pipeline: PipelineSeries, card: Card) -> None:
    """Make room for another run of a card that has very many."""
    oldest = next(iter(card.runs))
    if card.runs[oldest].live:
        ledger.close_run(pipeline, stage_of(oldest), card.runs[oldest])
    del card.runs[oldest]


def _leave(pipeline: PipelineSeries, card: Card, stage: StageSeries, event: StageFinished) -> None:
    """Record that the card leaves a stage: for the stage that the event names, else for that of its next run."""
    data = event.data
    if data.next_stage is not None:
        pipeline.count_transition(stage, data.next_stage)
        card.left = ""
    else:
        card.left = "" if data.last else stage.name or data.stage
    held = card.held or {}
    if data.held_up and card.finished is None and data.stage not in held and len(held) < MOST_RUNS:
        card.held = {**(card.held or {}), data.stage: data.next_stage or ""}
        stage.held_up.add()
