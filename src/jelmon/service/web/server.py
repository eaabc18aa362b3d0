"""The HTTP server of a service: routes, login, limits, and a web config that is reloaded when it changes."""

import asyncio
import errno
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import http_exceptions, web

from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError, JelmonError
from jelmon.service.tasks import end
from jelmon.service.web.authentication import Authenticator, BusyError
from jelmon.service.web.config import WebConfig
from jelmon.service.web.file_state import states_of
from jelmon.service.web.health import OPEN_PATHS, Checks, health_routes
from jelmon.service.web.limits import ClientLimits, Gate, SlowBodyError, TokenBucket
from jelmon.service.web.pages import Handler

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 1024 * 1024
HEADER_LIMIT_BYTES = 8190
_HEADERS = 64
_KEEP_ALIVE_SECONDS = 75  # longer than the usual scrape interval, so that Prometheus keeps its connection
_HANDSHAKE_SECONDS = 10.0
_SWEEP_SECONDS = 1.0
_LISTEN_HINTS = {
    errno.EADDRINUSE: "another process uses the port: stop it, or choose another with --web.listen-address",
    errno.EACCES: "ports below 1024 need root: choose another with --web.listen-address",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one with --web.listen-address",
}


class Server:
    """The HTTP server of a service.

    Add routes to ``app`` before `start`. After it, ``address`` is the address it listens on (port 0 is resolved). If
    ``config`` came from a file, the file and the certificates it names are checked for changes every
    ``reload_seconds``; a broken file is logged and the previous content stays in use. ``require`` raises `ConfigError`
    for a configuration that this service must not run with, at start and when the file changes.
    """

    def __init__(
        self,
        service: str,
        *,
        checks: Checks,
        config: WebConfig | None = None,
        require: Callable[[WebConfig], None] | None = None,
        max_body: int = MAX_BODY_BYTES,
        limits: ClientLimits | None = None,
        reload_seconds: float = 1.0,
    ) -> None:
        self._limits = limits or ClientLimits()
        self._reload_seconds = reload_seconds
        self._failed_reloads = 0
        self._gate: Gate | None = None
        self._bucket: TokenBucket | None = None
        self._authenticator: Authenticator | None = None
        self._config = WebConfig()
        self._require = require or (lambda _: None)
        self._require(config or self._config)
        self._apply(config or self._config)
        self.app = web.Application(middlewares=[self._guard()], client_max_size=max_body)
        self.app.on_response_prepare.append(self._set_headers)
        self.app.add_routes(health_routes(service, checks, time.monotonic()))
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            logger=_protocol_logger(),
            max_line_size=HEADER_LIMIT_BYTES,
            max_field_size=HEADER_LIMIT_BYTES,
            max_headers=_HEADERS,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            shutdown_timeout=2,
        )
        self._listeners: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.address: ListenAddress | None = None

    async def start(self, address: ListenAddress) -> None:
        """Listen.

        Raises:
            ConfigError: the port is in use or the address is not local.
        """
        await self._runner.setup()
        assert self._runner.server is not None
        self._gate = Gate(self._limits, self._runner.server)
        self._apply(self._config)
        try:
            self._listeners = [
                await asyncio.get_running_loop().create_server(
                    self._gate, address.host, address.port, ssl=self._context, ssl_handshake_timeout=self._handshake
                )
            ]
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"cannot listen on {address}: {error.strerror or error}",
                hint=_LISTEN_HINTS.get(error.errno or 0, "check the host in --web.listen-address"),
            ) from error
        self.address = ListenAddress(*self._listeners[0].sockets[0].getsockname()[:2])
        for warning in self._config.warnings:
            logger.warning("web config", extra={"warning": warning})
        self._tasks.append(asyncio.create_task(self._sweep(self._gate)))
        if self._config.path is not None:
            self._tasks.append(asyncio.create_task(self._watch(self._config.path)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Parts of the web config that are accepted but not followed exactly."""
        return self._config.warnings

    @property
    def url(self) -> str:
        """The URL of the server, after `start`."""
        assert self.address is not None, "start() first"
        return f"{'https' if self._config.tls else 'http'}://{self.address}"

    async def stop(self) -> None:
        """Stop listening; requests in progress get two seconds."""
        tasks, self._tasks = self._tasks, []
        try:
            await end(*tasks)
        finally:
            for listener in self._listeners:
                listener.close()
            self._listeners = []
            await self._runner.cleanup()

    @property
    def _context(self) -> ssl.SSLContext | None:
        return self._config.tls.context if self._config.tls else None

    @property
    def _handshake(self) -> float | None:
        return _HANDSHAKE_SECONDS if self._config.tls else None

    # --- each request ---

    def _guard(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            gate = self._gate
            assert gate is not None
            gate.begin(request)
            try:
                if request.path not in OPEN_PATHS:
                    refusal = await self._refusal(request)
                    if refusal is not None:
                        return refusal
                return await handler(request)
            except SlowBodyError:
                return web.Response(status=408, text="the request body arrived too slowly\n")
            finally:
                gate.end(request)

        return guard

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if self._bucket is not None and not self._bucket.allows():
            return web.Response(status=429, text="too many requests\n", headers={"Retry-After": "1"})
        if self._authenticator is None:
            return None
        try:
            if await self._authenticator.passes(request.headers.get("Authorization", "")):
                return None
        except BusyError:
            return web.Response(status=503, text="too many logins at once\n", headers={"Retry-After": "1"})
        return web.Response(status=401, text="unauthorized\n", headers={"WWW-Authenticate": "Basic"})

    async def _set_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "jelmon"  # without the versions of libraries
        response.headers.update(self._config.headers)

    # --- background tasks ---

    async def _sweep(self, gate: Gate) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            gate.sweep()

    async def _watch(self, path: Path) -> None:
        seen = dict(self._config.files)
        while True:
            await asyncio.sleep(self._reload_seconds)
            now = states_of(seen)
            if now == seen:
                continue
            while now != seen:  # certificate and key are written one after the other: wait until the files are stable
                seen = now
                await asyncio.sleep(self._reload_seconds / 4)
                now = states_of(seen)
            if await self._reload(path):
                seen = dict(self._config.files)  # it may name other files now

    async def _reload(self, path: Path) -> bool:
        before = self._config
        try:
            config = WebConfig.load(path)
            self._require(config)
        except JelmonError as error:
            self._failed_reloads += 1
            logger.error(
                "invalid web config; the previous one stays in use",
                extra={"problems": error.message, "failures": self._failed_reloads},
            )
            return False
        self._apply(config)
        if config.tls or before.tls:
            await self._replace_listeners()
        self._failed_reloads = 0
        logger.info("web config reloaded", extra={"file": str(path), "warnings": list(config.warnings)})
        return True

    async def _replace_listeners(self) -> None:
        """Create new listeners on the same sockets, so that no connection is refused and existing ones stay open."""
        assert self._gate is not None
        loop = asyncio.get_running_loop()
        before, self._listeners = self._listeners, []
        for socket in [socket for listener in before for socket in listener.sockets]:
            self._listeners.append(
                await loop.create_server(
                    self._gate, sock=socket.dup(), ssl=self._context, ssl_handshake_timeout=self._handshake
                )
            )
        for listener in before:
            listener.close()

    def _apply(self, config: WebConfig) -> None:
        before, self._config = self._config, config
        if config.users != before.users:
            self._authenticator = Authenticator(config.users) if config.users else None
        if config.rate_limit != before.rate_limit:
            limit = config.rate_limit
            self._bucket = TokenBucket(limit.interval, limit.burst) if limit else None
        if self._gate is not None:
            self._gate.allowed_names = config.tls.allowed_names if config.tls else frozenset()


class _WithoutClientErrors(logging.Filter):
    """Drops tracebacks about clients that do not speak HTTP."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, http_exceptions.HttpProcessingError)


_without_client_errors = _WithoutClientErrors()


def _protocol_logger() -> logging.Logger:
    logger = logging.getLogger("jelmon.service.web.protocol")
    logger.addFilter(_without_client_errors)
    return logger
