"""Events of calls to services."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.envelope import Data, Envelope
from jelmon.events.fields import Id, Name, Outcome, Seconds


class CallFinishedData(Data, frozen=True, kw_only=True):
    target: Annotated[Name, Meta(description="the service that was called")]
    outcome: Annotated[Outcome, Meta(description="how the call ended")]
    duration_seconds: Annotated[Seconds, Meta(description="duration in seconds")]
    error: Annotated[Name, Meta(description="class of error: connect, timeout, http_5xx, ...; a label")] | None = None


class CallFinished(Envelope, tag="jelmore.call.finished", frozen=True, kw_only=True):
    """A call to a service finished."""

    subject: Id | None = None
    data: CallFinishedData
