"""Events of stages."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.cards import CardData
from jelmon.events.envelope import SubjectEnvelope
from jelmon.events.fields import Attempt, Name, Outcome, Reason


class StageData(CardData, frozen=True, kw_only=True):
    stage: Annotated[Name, Meta(description="the stage")]
    attempt: Annotated[Attempt, Meta(description="1 for the first attempt of this card in this stage")] = 1


class StageStartedData(StageData, frozen=True, kw_only=True):
    worker: Annotated[Name, Meta(description="the worker that processes the card; never a label")] | None = None


class StageFinishedData(StageStartedData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how this attempt ended")]
    next_stage: Annotated[Name, Meta(description="the stage that the card moves to")] | None = None
    held_up: Annotated[bool, Meta(description="the next stage's queue is full, so the card is blocked in this one")] = (
        False
    )
    last: Annotated[bool, Meta(description="this was the card's last step")] = False
    reason: Annotated[Reason, Meta(description="short explanation; never a label")] = ""


class StageRetriedData(StageData, frozen=True, kw_only=True):
    """``attempt`` is the number of the attempt to come, 2 or more."""

    reason: Annotated[Reason, Meta(description="short explanation; never a label")] = ""


class StageQueued(SubjectEnvelope, tag="jelmore.stage.queued", frozen=True, kw_only=True):
    """A card was queued for a stage."""

    data: StageData


class StageStarted(SubjectEnvelope, tag="jelmore.stage.started", frozen=True, kw_only=True):
    """A worker started an attempt of a stage."""

    data: StageStartedData


class StageFinished(SubjectEnvelope, tag="jelmore.stage.finished", frozen=True, kw_only=True):
    """An attempt of a stage finished."""

    data: StageFinishedData


class StageRetried(SubjectEnvelope, tag="jelmore.stage.retried", frozen=True, kw_only=True):
    """A further attempt of a stage was scheduled."""

    data: StageRetriedData
