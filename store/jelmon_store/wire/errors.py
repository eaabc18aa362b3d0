"""Errors of requests, by the status of the response."""

from jelmon.errors import JelmonError


class RequestError(JelmonError):
    """The request is malformed: 400, and the sender must not repeat it."""


class UnsupportedError(RequestError):
    """The content type or the encoding is not supported: 415."""


class BusyError(JelmonError):
    """The service is overloaded: 503, and the sender repeats the request."""
