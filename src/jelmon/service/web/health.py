"""Health endpoints: liveness, readiness, and the state of each dependency."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from jelmon import __version__

OPEN_PATHS = frozenset({"/-/healthy", "/-/ready", "/health"})
"""Paths without login and rate limit, as orchestrators cannot log in."""


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one dependency. ``detail`` stands on the landing page, and must not contain secrets.

    A service is ready without dependencies that are not ``needed``.
    """

    ok: bool
    detail: str = ""
    needed: bool = True


Checks = Callable[[], Mapping[str, Check]]
"""Called for each request of ``/-/ready`` and ``/health``; must not block."""


def health_routes(service: str, checks: Checks, started: float) -> list[web.RouteDef]:
    """Return the routes of the three endpoints. ``started`` is a reading of the monotonic clock."""

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def ready(_: web.Request) -> web.Response:
        failed = sorted(name for name, check in checks().items() if check.needed and not check.ok)
        if failed:
            return web.Response(status=503, text=f"not ready: {', '.join(failed)}\n")
        return web.Response(text="OK\n")

    async def health(_: web.Request) -> web.Response:
        states = checks()
        ok = all(check.ok for check in states.values())
        body = {
            "service": service,
            "version": __version__,
            "status": "ok" if ok else "degraded",
            "uptime_seconds": round(time.monotonic() - started, 3),
            "dependencies": {
                # without the detail, which may name an address
                name: {"status": "ok" if check.ok else "failed"}
                for name, check in sorted(states.items())
            },
        }
        return web.json_response(
            body, status=200 if all(check.ok for check in states.values() if check.needed) else 503
        )

    return [web.get("/-/healthy", healthy), web.get("/-/ready", ready), web.get("/health", health)]
