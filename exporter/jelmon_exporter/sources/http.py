"""``POST /api/v1/events``: CloudEvents over HTTP, for producers without NATS.

Takes the three content modes of the CloudEvents HTTP binding (structured, batched, binary), and answers after the
events are stored: in the stream (`forwarding`), or where there is none in the exporter's own state (`local`). What is
answered with 202 is stored; everything may be sent again under the same ids, and is not counted twice.
"""

import re
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec
from aiohttp import web as http

from jelmon import catalogue as c
from jelmon.client import Published
from jelmon.errors import EventError, JelmonError, Rejection, SourceError
from jelmon.events import MAX_BATCH_EVENTS, MAX_EVENT_BYTES, split
from jelmon.service.web import at_most
from jelmon_exporter.series.cells import SeriesTable

PATH = "/api/v1/events"
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
MAX_BODY_BYTES = MAX_EVENT_BYTES * MAX_BATCH_EVENTS
RETRY_AFTER_SECONDS = 5
_AT_ONCE = 32
_ATTRIBUTES = re.compile(r"ce-([a-z0-9]{1,20})")
_AT = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_encode = msgspec.json.Encoder().encode


class Keeper(Protocol):
    """Where events that came over HTTP are stored."""

    @property
    def up(self) -> bool:
        """Whether events can be stored."""

    async def publish_each(self, payloads: Iterable[bytes]) -> list[Published | EventError | SourceError]:
        """Store encoded events; tell the fate of each. The sequence is 0 where there is no stream.

        Raises:
            SourceError: nothing can be stored for now.
        """


class HttpSource:
    """The endpoint. While nothing can be stored the answer is 503."""

    def __init__(self, keeper: Keeper, table: SeriesTable) -> None:
        self._keeper = keeper
        self._counted = {result: table.cell(c.HTTP_EVENTS, result) for result in c.HTTP_EVENTS.closed["result"]}

    def routes(self) -> list[http.RouteDef]:
        """What to add to the server."""
        return [http.post(PATH, at_most(_AT_ONCE, self._post))]

    async def _post(self, request: http.Request) -> http.Response:
        try:
            payloads = _payloads(request, await _read(request))
        except EventError as error:
            self._counted["refused"].add()
            return _problem(413 if error.reason is Rejection.OVERSIZED else 400, error)
        except _MediaTypeError as error:
            return _problem(415, error, {"Accept-Post": f"{ONE}, {BATCH}, {JSON}"})
        try:
            fates = await self._keeper.publish_each(payloads)
        except SourceError as error:
            self._counted["failed"].add(len(payloads))
            return _unavailable(error)
        return self._answer(payloads, fates)

    def _answer(self, payloads: list[bytes], fates: list[Published | EventError | SourceError]) -> http.Response:
        results = [_result(*one) for one in zip(range(len(payloads)), payloads, fates, strict=True)]
        for result in results:
            self._counted[result["status"]].add()
        accepted = sum(isinstance(fate, Published) for fate in fates)
        body: dict[str, Any] = {"accepted": accepted, "results": results}
        failed = [fate for fate in fates if isinstance(fate, SourceError)]
        refused = [fate for fate in fates if isinstance(fate, EventError)]
        if failed:
            body = {"error": failed[0].message, "hint": "send all of it again: nothing is stored twice"} | body
            return _json(503, body, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        if len(fates) == 1 and refused:
            oversized = refused[0].reason is Rejection.OVERSIZED
            return _json(413 if oversized else 400, {"error": refused[0].message, "hint": refused[0].hint} | body)
        if refused:
            hint = "mend those with status 'refused' and send them; the others are stored"
            return _json(400, {"error": f"{len(refused)} of {len(fates)} events were refused", "hint": hint} | body)
        return _json(202, body)


class _MediaTypeError(JelmonError):
    """The body is of a kind that we do not read."""


class _Identified(msgspec.Struct):
    id: Any = None


async def _read(request: http.Request) -> bytes:
    try:
        body = await request.read()
    except http.HTTPRequestEntityTooLarge as error:
        raise _too_large() from error
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> EventError:
    return EventError(
        f"the body is larger than {MAX_BODY_BYTES} bytes", reason=Rejection.OVERSIZED, hint="send smaller batches"
    )


def _payloads(request: http.Request, body: bytes) -> list[bytes]:
    """The events of a request, unparsed.

    Raises:
        EventError: there are none, or too many, or the batch is no JSON.
        _MediaTypeError: the content type is none of ours.
    """
    kind = request.content_type if "Content-Type" in request.headers else ""
    charset = (request.charset or "utf-8").lower()
    if charset not in ("utf-8", "us-ascii"):
        raise _MediaTypeError(f"charset {charset} is not read", hint="send UTF-8")
    is_batch = body[:64].lstrip()[:1] == b"["
    if kind == JSON and any(_ATTRIBUTES.fullmatch(name.lower()) for name in request.headers):
        return [_from_binary(request, body)]
    match kind:
        case "application/cloudevents+json" if is_batch:
            raise EventError(
                f"a batch came as {ONE}", reason=Rejection.MALFORMED, hint=f"send it with Content-Type: {BATCH}"
            )
        case "application/cloudevents-batch+json" if not is_batch:
            raise EventError(
                f"what came as {BATCH} is no JSON array",
                reason=Rejection.MALFORMED,
                hint=f"send [event, event], or one event with Content-Type: {ONE}",
            )
        case "application/cloudevents+json" | "application/cloudevents-batch+json" | "application/json":
            return split(body)
    raise _MediaTypeError(
        f"Content-Type {kind!r} is not read" if kind else "there is no Content-Type",
        hint=f"send {ONE} for one event, {BATCH} for several",
    )


def _from_binary(request: http.Request, body: bytes) -> bytes:
    """One event whose attributes stand in ``ce-`` headers and whose data is the body."""
    event: dict[str, Any] = {}
    for name, value in request.headers.items():
        found = _ATTRIBUTES.fullmatch(name.lower())
        if found:
            event[found[1]] = unquote(value)
    if "data" in event:
        raise EventError("ce-data is no attribute", reason=Rejection.INVALID, hint="the body is the data")
    event["data"] = msgspec.Raw(body.strip() or b"null")
    return _encode(event)


def _result(index: int, payload: bytes, fate: Published | EventError | SourceError) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "id": _id(payload)}
    match fate:
        case Published():
            place = {"sequence": fate.sequence} if fate.sequence else {}
            return result | {"status": "duplicate" if fate.duplicate else "stored"} | place
        case EventError():
            refusal = {"status": "refused", "reason": fate.reason, "field": field_of(fate)}
            return result | refusal | {"error": fate.message, "hint": fate.hint}
    return result | {"status": "failed", "error": fate.message, "hint": fate.hint}


def _id(payload: bytes) -> str | None:
    """The event's id, if it has one: so that a producer finds its event again."""
    try:
        found = msgspec.json.decode(payload, type=_Identified).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found[:256] if isinstance(found, str) else None


def field_of(error: EventError) -> str:
    """Which field is at fault, as ``data.stage``; empty when it is the event as a whole."""
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
