"""Events of sessions."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.envelope import Data, SubjectEnvelope
from jelmon.events.fields import Name, Outcome


class SessionData(Data, frozen=True, kw_only=True):
    kind: Annotated[Name, Meta(description="kind of session: interactive, agent, batch, ...")] = "default"
    pipeline: Annotated[Name, Meta(description="pipeline that the session works on")] | None = None


class SessionFinishedData(SessionData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how the session ended")]


class SessionStarted(SubjectEnvelope, tag="jelmore.session.started", frozen=True, kw_only=True):
    """A session started; ``subject`` is the session id."""

    data: SessionData


class SessionFinished(SubjectEnvelope, tag="jelmore.session.finished", frozen=True, kw_only=True):
    """A session finished."""

    data: SessionFinishedData
