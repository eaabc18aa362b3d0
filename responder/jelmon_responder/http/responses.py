"""Answers in JSON: a body, or an error with its hint."""

from typing import Any

import msgspec
from aiohttp import web

from jelmon.errors import JelmonError

RETRY_AFTER_SECONDS = 5
_encode = msgspec.json.Encoder().encode


def json(body: Any, status: int = 200) -> web.Response:
    """Return a body as JSON."""
    return web.Response(body=_encode(body), status=status, content_type="application/json")


def problem(error: JelmonError, status: int) -> web.Response:
    """Return an error: what is wrong, and what to do."""
    return json({"error": error.message, "hint": error.hint}, status)


def unavailable(error: JelmonError) -> web.Response:
    """Return 503 with Retry-After: the database does not respond."""
    response = problem(error, 503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
