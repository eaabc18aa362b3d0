"""Events of cards."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.envelope import Data, SubjectEnvelope
from jelmon.events.fields import Name, Outcome, Reason


class CardData(Data, frozen=True, kw_only=True):
    pipeline: Annotated[Name, Meta(description="the card's pipeline")]


class CardFinishedData(CardData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how the card ended")]
    reason: Annotated[Reason, Meta(description="short explanation; never a label")] = ""


class CardQueued(SubjectEnvelope, tag="jelmore.card.queued", frozen=True, kw_only=True):
    """A card arrived in the pipeline and waits for its first stage."""

    data: CardData


class CardStarted(SubjectEnvelope, tag="jelmore.card.started", frozen=True, kw_only=True):
    """Work on a card started."""

    data: CardData


class CardFinished(SubjectEnvelope, tag="jelmore.card.finished", frozen=True, kw_only=True):
    """A card left the pipeline."""

    data: CardFinishedData
