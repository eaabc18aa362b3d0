"""The HTTP server that every service shares: limits, TLS, basic auth, health endpoints, landing page.

TLS, users, headers and the rate limit come from a web-config file in the format of Prometheus exporters, which is
reloaded when it changes. Health endpoints need no login, as orchestrators cannot log in; they show states only.
"""

from jelmon.service.web.accounts import Accounts
from jelmon.service.web.body import BodyError, read_body, received_body
from jelmon.service.web.config import WebConfig
from jelmon.service.web.health import OPEN_PATHS, Check, Checks
from jelmon.service.web.limits import ClientLimits, at_most
from jelmon.service.web.origin import CrossSiteError, refuse_cross_site
from jelmon.service.web.pages import Handler, Link, landing_page, page
from jelmon.service.web.server import HEADER_LIMIT_BYTES, MAX_BODY_BYTES, Server

__all__ = [
    "HEADER_LIMIT_BYTES",
    "MAX_BODY_BYTES",
    "OPEN_PATHS",
    "Accounts",
    "BodyError",
    "Check",
    "Checks",
    "ClientLimits",
    "CrossSiteError",
    "Handler",
    "Link",
    "Server",
    "WebConfig",
    "at_most",
    "landing_page",
    "page",
    "read_body",
    "received_body",
    "refuse_cross_site",
]
