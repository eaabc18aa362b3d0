"""All types of events."""

from typing import Any, get_args

import msgspec

from jelmon.events.actions import ActionFinished, ActionRequested
from jelmon.events.calls import CallFinished
from jelmon.events.cards import CardFinished, CardQueued, CardStarted
from jelmon.events.pipelines import PipelineDeclared
from jelmon.events.quality import GateEvaluated, ScanFinished, TestFinished
from jelmon.events.sessions import SessionFinished, SessionStarted
from jelmon.events.stages import StageFinished, StageQueued, StageRetried, StageStarted
from jelmon.events.work import WorkRecorded

Event = (
    CardQueued
    | CardStarted
    | CardFinished
    | StageQueued
    | StageStarted
    | StageFinished
    | StageRetried
    | GateEvaluated
    | TestFinished
    | ScanFinished
    | SessionStarted
    | SessionFinished
    | CallFinished
    | ActionRequested
    | ActionFinished
    | WorkRecorded
    | PipelineDeclared
)

EVENT_TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Event)}
"""``type`` on the wire -> class."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event as `parse` accepts it, with ``$defs`` for every part."""
    return msgspec.json.schema(Event)
