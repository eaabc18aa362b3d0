"""The CloudEvents envelope and the base of the ``data`` member."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jelmon.events.fields import Id, Time


class Data(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Base of the ``data`` member."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="type"):
    """The CloudEvents attributes. ``specversion`` has no default, so that an event without it is rejected."""

    specversion: Literal["1.0"]
    id: Annotated[Id, Meta(description="unique for its source; an event with the same source and id is a duplicate")]
    source: Annotated[Id, Meta(description="the producer, a URI reference such as /ci/runner-7")]
    time: Annotated[Time, Meta(description="when it happened, RFC 3339 with a time zone, not before the year 2000")]
    traceparent: Annotated[str, Meta(max_length=64, description="W3C trace context")] | None = None


class SubjectEnvelope(Envelope, frozen=True, kw_only=True):
    """An envelope with a mandatory ``subject``."""

    subject: Annotated[Id, Meta(description="id of the card, session or action")]
