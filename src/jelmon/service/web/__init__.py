"""The HTTP server that every service shares: limits, TLS, basic auth, health endpoints, landing page.

TLS, users, headers and the rate limit come from the web-config file that Prometheus' own exporters read, and are read
again when it changes. Health endpoints stay open under basic auth, as orchestrators cannot log in; they tell states,
never addresses or secrets.
"""

from jelmon.service.web.config import WebConfig
from jelmon.service.web.health import OPEN_PATHS, Check, Checks
from jelmon.service.web.limits import ClientLimits, at_most
from jelmon.service.web.pages import Handler, Link, landing_page, page
from jelmon.service.web.server import HEADER_LIMIT_BYTES, MAX_BODY_BYTES, Server

__all__ = [
    "HEADER_LIMIT_BYTES",
    "MAX_BODY_BYTES",
    "OPEN_PATHS",
    "Check",
    "Checks",
    "ClientLimits",
    "Handler",
    "Link",
    "Server",
    "WebConfig",
    "at_most",
    "landing_page",
    "page",
]
