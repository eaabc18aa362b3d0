"""Events of cards. Each handler returns False if the event only repeats what is known.

A handler begins with the most frequent case, written without calls: these handlers and those of `stages` set the
exporter's throughput. Rarer cases may be slower.
"""

from datetime import datetime

from jelmon.events import CardFinished, CardQueued, CardStarted
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.pipeline_series import PipelineSeries
from jelmon_exporter.state.lifecycle import EventOrder, Step, classify
from jelmon_exporter.state.model import Card


def card_queued(ledger: Ledger, event: CardQueued, time: datetime) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    if not pipeline.busy:
        ledger.mark_busy(pipeline)
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = new_card(pipeline, event.subject)
    else:
        match _order(ledger, pipeline, card, Step.QUEUED, time):
            case EventOrder.DUPLICATE:
                return False
            case EventOrder.STALE:
                pipeline.queued_delta += 1
                return True
            case EventOrder.BACKFILL:
                card.queued = time
                if card.started is not None:
                    pipeline.waits.append(card.started - time)
                pipeline.queued_delta += 1
                return True
            case EventOrder.NEW:
                _restart(ledger, pipeline, card)
            case EventOrder.NEXT:
                pass
    card.queued, card.live = time, True
    pipeline.waiting_delta += 1
    pipeline.queued_delta += 1
    return True


def card_started(ledger: Ledger, event: CardStarted, time: datetime) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    if not pipeline.busy:
        ledger.mark_busy(pipeline)
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = new_card(pipeline, event.subject)
    elif card.started is None and card.finished is None:
        pipeline.changed[event.subject] = card
        if card.queued is not None:
            pipeline.waits.append(time - card.queued)
        if card.live:
            pipeline.waiting_delta -= 1
    else:
        match _order(ledger, pipeline, card, Step.STARTED, time):
            case EventOrder.DUPLICATE:
                return False
            case EventOrder.STALE:
                return _count_start(pipeline, time)
            case EventOrder.BACKFILL:
                card.started = time
                if card.queued is not None:
                    pipeline.waits.append(time - card.queued)
                if card.finished is not None and card.outcome is not None:
                    pipeline.ended[card.outcome].durations.append(card.finished - time)
                return _count_start(pipeline, time)
            case _:
                _restart(ledger, pipeline, card)
    card.started, card.live = time, True
    pipeline.running_delta += 1
    return _count_start(pipeline, time)


def _count_start(pipeline: PipelineSeries, time: datetime) -> bool:
    pipeline.started_delta += 1
    if time > pipeline.latest:
        pipeline.latest = time
    return True


def card_finished(ledger: Ledger, event: CardFinished, time: datetime) -> bool:
    pipeline = ledger.pipelines.get(event.data.pipeline) or ledger.pipeline(event.data.pipeline)
    if not pipeline.busy:
        ledger.mark_busy(pipeline)
    outcome = event.data.outcome
    ended = pipeline.ended[outcome]
    card = pipeline.cards.get(event.subject)
    if card is None:
        card = new_card(pipeline, event.subject)
    elif card.finished is None:
        pipeline.changed[event.subject] = card
        if card.started is not None:
            if event.traceparent is None:
                ended.durations.append(time - card.started)
            else:
                ledger.observe(pipeline.duration(outcome), card.started, time, event)
    else:
        match _order(ledger, pipeline, card, Step.FINISHED, time):
            case EventOrder.DUPLICATE:
                return False
            case EventOrder.STALE:
                ended.count += 1
                pipeline.record_activity(time)
                return True
            case _:
                _restart(ledger, pipeline, card)
    ledger.close_card(pipeline, card)
    card.finished, card.outcome = time, outcome
    ledger.mark_finished(card)
    ended.count += 1
    pipeline.record_activity(time)
    return True


def new_card(pipeline: PipelineSeries, card_id: str) -> Card:
    """Create a card, marked as changed."""
    card = pipeline.cards[card_id] = pipeline.changed[card_id] = Card(pipeline=pipeline.name, id=card_id)
    return card


def _order(ledger: Ledger, pipeline: PipelineSeries, card: Card, step: Step, time: datetime) -> EventOrder:
    """Classify an event of the card itself; mark the card as changed, and count a late event."""
    if card.queued is None and card.started is None and card.finished is None:
        order = EventOrder.NEXT  # only its stages are known so far
    else:
        order = classify(card, step, time)
    if order is EventOrder.BACKFILL or order is EventOrder.STALE:
        ledger.late.add()
    if order is not EventOrder.DUPLICATE:
        pipeline.changed[card.id] = card
    return order


def _restart(ledger: Ledger, pipeline: PipelineSeries, card: Card) -> None:
    """Reset a card that passes through the pipeline again; its earlier pass is over, reported as finished or not."""
    ledger.close_card(pipeline, card)
    card.queued = card.started = card.finished = card.outcome = card.retried = None
    card.runs.clear()
    card.left = ""
