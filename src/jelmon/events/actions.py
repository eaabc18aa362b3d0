"""Events of automated actions."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.envelope import Data, SubjectEnvelope
from jelmon.events.fields import Name, Outcome, Reason


class ActionData(Data, frozen=True, kw_only=True):
    action: Annotated[Name, Meta(description="scale_up, enable_throttling, restart_pipeline, check_dependencies, ...")]
    pipeline: Annotated[Name, Meta(description="pipeline concerned")] | None = None
    stage: Annotated[Name, Meta(description="stage concerned")] | None = None


class ActionRequestedData(ActionData, frozen=True, kw_only=True):
    requested_by: Annotated[Name, Meta(description="alert or person that requested the action")]


class ActionFinishedData(ActionData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how the action ended")]
    reason: Annotated[Reason, Meta(description="short explanation; never a label")] = ""


class ActionRequested(SubjectEnvelope, tag="jelmore.action.requested", frozen=True, kw_only=True):
    """An automated action was requested; ``subject`` is the action's id."""

    data: ActionRequestedData


class ActionFinished(SubjectEnvelope, tag="jelmore.action.finished", frozen=True, kw_only=True):
    """An automated action finished, successfully or not."""

    data: ActionFinishedData
