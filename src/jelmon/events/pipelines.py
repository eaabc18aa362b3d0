"""Declarations of pipelines."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.cards import CardData
from jelmon.events.envelope import Data, Envelope
from jelmon.events.fields import Count, Id, Name, Seconds


class StageDeclaration(Data, frozen=True, kw_only=True):
    """One stage of a declared pipeline."""

    stage: Annotated[Name, Meta(description="the stage")]
    workers: (
        Annotated[int, Meta(ge=1, le=1_000_000, description="number of cards that it can process concurrently")] | None
    ) = None
    queue_capacity: Annotated[Count, Meta(description="capacity of its queue, in cards")] | None = None
    time_limit_seconds: (
        Annotated[Seconds, Meta(description="time limit of a run, in seconds; a longer run is a timeout")] | None
    ) = None


class PipelineDeclaredData(CardData, frozen=True, kw_only=True):
    stages: Annotated[
        tuple[StageDeclaration, ...], Meta(max_length=1000, description="stages in the order in which cards pass them")
    ]
    stall_limit_seconds: (
        Annotated[
            Seconds,
            Meta(
                description="the pipeline is stalled if it has cards and no activity for longer than this, in seconds"
            ),
        ]
        | None
    ) = None
    card_target_seconds: (
        Annotated[Seconds, Meta(description="target for the processing time of a card, in seconds")] | None
    ) = None


class PipelineDeclared(Envelope, tag="jelmore.pipeline.declared", frozen=True, kw_only=True):
    """A pipeline declared its stages and limits. The latest declaration (by ``time``) applies."""

    subject: Id | None = None
    data: PipelineDeclaredData
