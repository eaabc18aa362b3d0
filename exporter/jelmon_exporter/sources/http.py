"""``POST /api/v1/events``: CloudEvents over HTTP, for producers without NATS.

Accepts the three content modes of the CloudEvents HTTP binding (structured, batched, binary), and answers once the
events are stored: in the stream (`forwarding`) or, without NATS, in the exporter's state (`local`). Status 202 means
stored. Any request may be repeated with the same ids; nothing is counted twice.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from aiohttp import web as http

from jelmon import catalogue as c
from jelmon.client import Published, TooLargeError
from jelmon.errors import EventError, JelmonError, Rejection, SourceError
from jelmon.events import MAX_BATCH_EVENTS, MAX_EVENT_BYTES, split
from jelmon.service.web import BodyError, at_most, read_body
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.sources import binary_mode
from jelmon_exporter.sources.source import Source

logger = logging.getLogger(__name__)

PATH = "/api/v1/events"
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
MAX_BODY_BYTES = MAX_EVENT_BYTES * MAX_BATCH_EVENTS
RETRY_AFTER_SECONDS = 5
_AT_ONCE = 32
_AT = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_encode = msgspec.json.Encoder().encode


class EventSink(Protocol):
    """Stores events that arrive over HTTP."""

    @property
    def up(self) -> bool:
        """Whether events can be stored."""

    async def publish_each(self, payloads: Iterable[bytes]) -> list[Published | EventError | SourceError]:
        """Store encoded events; return the result of each. Without a stream the sequence is 0.

        Raises:
            SourceError: nothing can be stored at the moment.
        """


class HttpSource(Source):
    """The endpoint. It answers 503 while nothing can be stored."""

    name = "events over HTTP"

    def __init__(self, sink: EventSink, table: SeriesTable) -> None:
        self._sink = sink
        self._store = at_most(_AT_ONCE, self._publish)
        self._counted = {result: table.cell(c.HTTP_EVENTS, result) for result in c.HTTP_EVENTS.closed["result"]}

    def routes(self) -> list[http.RouteDef]:
        """Return the endpoint's route."""
        return [http.post(PATH, self._post)]

    async def _post(self, request: http.Request) -> http.StreamResponse:
        try:
            payloads = _payloads(request, await read_body(request, MAX_BODY_BYTES))
        except BodyError as error:
            self._counted["refused"].add()
            logger.debug("unusable request body", extra={"reason": error.message})
            return _problem(error.status, error)
        except EventError as error:
            self._counted["refused"].add()
            return _problem(413 if error.reason is Rejection.OVERSIZED else 400, error)
        except _MediaTypeError as error:
            return _problem(415, error, {"Accept-Post": f"{ONE}, {BATCH}, {JSON}"})
        return await self._store(payloads)

    async def _publish(self, payloads: list[bytes]) -> http.StreamResponse:
        try:
            outcomes = await self._sink.publish_each(payloads)
        except SourceError as error:
            self._counted["failed"].add(len(payloads))
            return _unavailable(error)
        return self._answer(payloads, [_permanent(outcome) for outcome in outcomes])

    def _answer(self, payloads: list[bytes], outcomes: list[Published | EventError | SourceError]) -> http.Response:
        results = [_result(*row) for row in zip(range(len(payloads)), payloads, outcomes, strict=True)]
        for result in results:
            self._counted[result["status"]].add()
        accepted = sum(isinstance(outcome, Published) for outcome in outcomes)
        body: dict[str, Any] = {"accepted": accepted, "results": results}
        failed = [one for one in outcomes if isinstance(one, SourceError)]
        refused = [one for one in outcomes if isinstance(one, EventError)]
        if failed:
            body = {"error": failed[0].message, "hint": "send the whole request again: nothing is stored twice"} | body
            return _json(503, body, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        if len(outcomes) == 1 and refused:
            oversized = refused[0].reason is Rejection.OVERSIZED
            return _json(413 if oversized else 400, {"error": refused[0].message, "hint": refused[0].hint} | body)
        if refused:
            hint = "correct those with status 'refused' and send them again; the others are stored"
            return _json(400, {"error": f"{len(refused)} of {len(outcomes)} events were refused", "hint": hint} | body)
        return _json(202, body)


def _permanent(outcome: Published | EventError | SourceError) -> Published | EventError | SourceError:
    """Return a refusal for an event that is too large for NATS: sending it again cannot help."""
    if isinstance(outcome, TooLargeError):
        return EventError(outcome.message, reason=Rejection.OVERSIZED, hint=outcome.hint)
    return outcome


class _MediaTypeError(JelmonError):
    """The body has an unsupported media type."""


class _Identified(msgspec.Struct):
    id: Any = None


def _payloads(request: http.Request, body: bytes) -> list[bytes]:
    """Return the events of a request, unparsed.

    Raises:
        EventError: there are none or too many, or the batch is not JSON.
        _MediaTypeError: the content type is not supported.
    """
    kind = request.content_type if "Content-Type" in request.headers else ""
    charset = (request.charset or "utf-8").lower()
    if charset not in ("utf-8", "us-ascii"):
        raise _MediaTypeError(f"charset {charset} is not supported", hint="send UTF-8")
    is_batch = body[:64].lstrip()[:1] == b"["
    if kind == JSON and binary_mode.is_used(request.headers):
        return [binary_mode.event_of(request.headers, body)]
    match kind:
        case "application/cloudevents+json" if is_batch:
            raise EventError(
                f"a batch was sent as {ONE}", reason=Rejection.MALFORMED, hint=f"send it with Content-Type: {BATCH}"
            )
        case "application/cloudevents-batch+json" if not is_batch:
            raise EventError(
                f"the body sent as {BATCH} is not a JSON array",
                reason=Rejection.MALFORMED,
                hint=f"send [event, event], or one event with Content-Type: {ONE}",
            )
        case "application/cloudevents+json" | "application/cloudevents-batch+json" | "application/json":
            return split(body)
    raise _MediaTypeError(
        f"Content-Type {kind!r} is not supported" if kind else "there is no Content-Type",
        hint=f"send {ONE} for one event, {BATCH} for several",
    )


def _result(index: int, payload: bytes, outcome: Published | EventError | SourceError) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "id": _id(payload)}
    match outcome:
        case Published():
            position = {"sequence": outcome.sequence} if outcome.sequence else {}
            return result | {"status": "duplicate" if outcome.duplicate else "stored"} | position
        case EventError():
            refusal = {"status": "refused", "reason": outcome.reason, "field": field_of(outcome)}
            return result | refusal | {"error": outcome.message, "hint": outcome.hint}
    return result | {"status": "failed", "error": outcome.message, "hint": outcome.hint}


def _id(payload: bytes) -> str | None:
    """Return the event's id, if it has one, so that the producer recognizes its event."""
    try:
        event_id = msgspec.json.decode(payload, type=_Identified).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event_id[:256] if isinstance(event_id, str) else None


def field_of(error: EventError) -> str:
    """Return the field at fault, such as ``data.stage``; empty if the event as a whole is."""
    if error.reason is Rejection.UNKNOWN_TYPE:
        return "type"
    if error.reason is not Rejection.INVALID:
        return ""
    at, missing = _AT.search(error.message), _MISSING.search(error.message)
    return ".".join(part for part in (at[1] if at else "", missing[1] if missing else "") if part)


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> http.Response:
    return http.Response(status=status, body=_encode(body), content_type="application/json", headers=headers)


def _problem(status: int, error: JelmonError, headers: dict[str, str] | None = None) -> http.Response:
    return _json(status, {"error": error.message, "hint": error.hint, "accepted": 0}, headers)


def _unavailable(error: SourceError) -> http.Response:
    return _problem(503, error, {"Retry-After": str(RETRY_AFTER_SECONDS)})
