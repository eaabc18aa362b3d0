"""Whether a browser sends a request on behalf of another site's page, which its user then never asked for."""

from urllib.parse import urlsplit

from aiohttp import web

from jelmon.errors import JelmonError


class CrossSiteError(JelmonError):
    """A page of another site sent the request; the client gets the message with status 403."""


def refuse_cross_site(request: web.Request) -> None:
    """Refuse a request that changes something if a page of another site sent it. Programs send neither header.

    Raises:
        CrossSiteError: ``Sec-Fetch-Site`` or ``Origin`` says so.
    """
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    if site not in ("none", "same-origin") or (origin is not None and _host(origin) != request.host.lower()):
        raise CrossSiteError(
            "this request cannot be sent from another site's pages",
            hint="send it from a program, or from a page of this service",
        )


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
