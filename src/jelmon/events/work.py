"""Events of work that hooks of external tools report."""

from typing import Annotated

from msgspec import Meta

from jelmon.events.envelope import Data, Envelope
from jelmon.events.fields import Id, Name, Outcome, Seconds


class WorkRecordedData(Data, frozen=True, kw_only=True):
    tool: Annotated[Name, Meta(description="tool whose hook reports: an editor, a coding agent, a build tool")]
    kind: Annotated[Name, Meta(description="kind of work: edit, command, task, ...")]
    outcome: Annotated[Outcome, Meta(description="how it ended")] = Outcome.SUCCESS
    duration_seconds: Annotated[Seconds, Meta(description="duration in seconds")] | None = None
    pipeline: Annotated[Name, Meta(description="pipeline concerned")] | None = None


class WorkRecorded(Envelope, tag="jelmore.work.recorded", frozen=True, kw_only=True):
    """A hook of an external tool reported work."""

    subject: Id | None = None
    data: WorkRecordedData
