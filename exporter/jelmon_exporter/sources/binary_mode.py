"""CloudEvents in binary mode: attributes in ``ce-`` headers, the data as body.

Follows section 3.1 of the HTTP protocol binding of CloudEvents 1.0: a value may be a quoted string; its text is
percent-encoded UTF-8, once.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from jelmon.errors import EventError, Rejection

_ATTRIBUTE = re.compile(r"ce-([a-z0-9]{1,20})")
_PREFIX = "ce-"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_encode = msgspec.json.Encoder().encode


def is_used(headers: Iterable[str]) -> bool:
    """Return whether any header is an attribute."""
    return any(name.lower().startswith(_PREFIX) for name in headers)


def event_of(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the encoded event.

    Raises:
        EventError: a header is not an attribute or occurs twice, its value is not encoded as the binding says, or the
            body is not one JSON value.
    """
    event: dict[str, Any] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not lower.startswith(_PREFIX):
            continue
        match = _ATTRIBUTE.fullmatch(lower)
        if match is None or match[1] == "data":
            raise _refusal(f"{lower} is not an attribute", hint="names have a-z and 0-9 only; the body is the data")
        if match[1] in event:
            raise _refusal(f"{lower} is given twice", hint="send it once")
        event[match[1]] = _text(lower, value)
    try:
        event["data"] = msgspec.json.decode(body, type=msgspec.Raw) if body.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(
            f"the body is not JSON: {error}", reason=Rejection.MALFORMED, hint="the body is the value of data alone"
        ) from error
    return _encode(event)


def _text(name: str, value: str) -> str:
    """Return the value of a header, unquoted and decoded."""
    if not (value.isascii() and value.isprintable()):
        raise _refusal(f"{name} has characters that are not printable ASCII", hint="percent-encode them as UTF-8")
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise _refusal(f"{name} has an unbalanced quote", hint='write "..." with \\" inside, or %22')
        value = _ESCAPED.sub(r"\1", quoted[1])
    if _BROKEN_PERCENT.search(value):
        raise _refusal(f"{name} has a % without two hexadecimal digits", hint="write %25 for a percent sign")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise _refusal(f"{name} is not UTF-8 after percent-decoding", hint="percent-encode UTF-8") from error


def _refusal(message: str, *, hint: str) -> EventError:
    return EventError(message, reason=Rejection.INVALID, hint=hint)
