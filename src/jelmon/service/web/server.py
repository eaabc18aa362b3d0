"""The HTTP server of a service: routes, login, limits, and a web config that is reloaded when it changes."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import http_exceptions, web

from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError, JelmonError
from jelmon.service.tasks import end
from jelmon.service.web.accounts import Accounts
from jelmon.service.web.authentication import Authenticator, BusyError
from jelmon.service.web.body import BodyError
from jelmon.service.web.config import WebConfig
from jelmon.service.web.expect import replace_default
from jelmon.service.web.file_state import states_of
from jelmon.service.web.gate import Gate
from jelmon.service.web.health import OPEN_PATHS, Checks, health_routes
from jelmon.service.web.limits import ClientLimits, CrowdedError, SlowBodyError, TokenBucket
from jelmon.service.web.listening import open_sockets
from jelmon.service.web.pages import Handler

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 1024 * 1024
HEADER_LIMIT_BYTES = 8190
_HEADERS = 64
_KEEP_ALIVE_SECONDS = 75  # longer than the usual scrape interval, so that Prometheus keeps its connection
_HANDSHAKE_SECONDS = 10.0
_SWEEP_SECONDS = 1.0


class Server:
    """The HTTP server of a service.

    Add routes to ``app`` before `start`. After it, ``address`` is the address it listens on (port 0 is resolved). If
    ``config`` came from a file, the file and the certificates it names are checked for changes every
    ``reload_seconds``; a broken file is logged and reported to ``on_reload``, and the previous content stays in use.
    ``require`` raises `ConfigError` for a configuration that this service must not run with, at start and when the file
    changes. ``writable`` names what changes something: the server warns if a network can use it without login. The rate
    limit answers 429, and 503 on the paths in ``repeated``: their senders drop what is answered with 429.
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
        accounts: Accounts | None = None,
        writable: str = "",
        repeated: Collection[str] = (),
        on_reload: Callable[[bool], None] = lambda _: None,
        reload_seconds: float = 1.0,
    ) -> None:
        self._limits = limits or ClientLimits()
        self._accounts = accounts or Accounts()
        self._writable = writable
        self._repeated = frozenset(repeated)
        self._on_reload = on_reload
        self._reload_seconds = reload_seconds
        self._failed_reloads = 0
        self._gate: Gate | None = None
        self._bucket: TokenBucket | None = None
        self._authenticator: Authenticator | None = None
        self._config = WebConfig()
        self._require = require or (lambda _: None)
        self._require(config or self._config)
        self._apply(config or self._config)
        replace_default()
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
            auto_decompress=False,  # a body is expanded by `body.read_body`, after login and routing
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
            sockets = await asyncio.to_thread(open_sockets, address)
        except ConfigError:
            await self._runner.cleanup()
            raise
        self._listeners = [await self._listen(socket) for socket in sockets]
        host, port = sockets[0].getsockname()[:2]
        self.address = ListenAddress("" if address.is_any else host, port)
        self._on_reload(True)
        self._warn()
        self._tasks.append(asyncio.create_task(_supervise(partial(self._sweep, self._gate))))
        if self._config.path is not None:
            self._tasks.append(asyncio.create_task(_supervise(partial(self._watch, self._config.path))))

    def warnings(self, address: ListenAddress) -> tuple[str, ...]:
        """Return what is accepted in the web config but not followed exactly, and what is open at the address."""
        config = self._config
        found = [
            *config.warnings,
            *(f"{name!r} has a task but is no user in the web config" for name in self._accounts.unknown(config.users)),
        ]
        if self._writable and not address.is_loopback and not config.authenticates:
            found.append(f"{self._writable} is open to everybody who can reach {address}: see docs/guides/securing.md")
        return tuple(found)

    def _warn(self) -> None:
        assert self.address is not None
        for warning in self.warnings(self.address):
            logger.warning("web config", extra={"warning": warning})

    @property
    def url(self) -> str:
        """The URL of the server, after `start`."""
        assert self.address is not None, "start() first"
        address = ListenAddress("localhost", self.address.port) if self.address.is_any else self.address
        return f"{'https' if self._config.tls else 'http'}://{address}"

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
            except CrowdedError:
                return _closing(503, "too many request bodies arrive at once")
            except SlowBodyError:
                return _closing(408, "the request body arrived too slowly")
            except BodyError as error:
                logger.debug("unusable request body", extra={"path": request.path, "reason": error.message})
                return _closing(error.status, error.message)
            finally:
                gate.end(request)

        return guard

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if self._bucket is not None and not self._bucket.allows():
            status = 503 if request.path in self._repeated else 429
            return web.Response(status=status, text="too many requests\n", headers={"Retry-After": "1"})
        user = None
        if self._authenticator is not None:
            try:
                user = await self._authenticator.user_of(request.headers.get("Authorization", ""))
            except BusyError:
                return web.Response(status=503, text="too many logins at once\n", headers={"Retry-After": "1"})
            if user is None:
                return web.Response(status=401, text="unauthorized\n", headers={"WWW-Authenticate": "Basic"})
        return self._accounts.refusal(request, user)

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
        """Use the file as it is now; return whether it could be used. Whatever is wrong, the watcher goes on."""
        before = self._config
        try:
            config = await asyncio.to_thread(WebConfig.load, path)
            self._require(config)
            self._apply(config)
            if config.tls or before.tls:
                await self._replace_listeners()
        except Exception as error:
            self._failed_reloads += 1
            logger.error(
                "invalid web config; the previous one stays in use",
                extra={
                    "problems": getattr(error, "message", "") or type(error).__name__,
                    "failures": self._failed_reloads,
                },
                exc_info=None if isinstance(error, JelmonError) else error,
            )
            self._on_reload(False)
            return False
        self._failed_reloads = 0
        self._on_reload(True)
        logger.info("web config reloaded", extra={"file": str(path)})
        self._warn()
        return True

    async def _replace_listeners(self) -> None:
        """Create new listeners on the same sockets, so that no connection is refused and existing ones stay open."""
        before = self._listeners
        self._listeners = [await self._listen(socket.dup()) for listener in before for socket in listener.sockets]
        for listener in before:
            listener.close()

    async def _listen(self, socket: Any) -> asyncio.Server:
        assert self._gate is not None
        return await asyncio.get_running_loop().create_server(
            self._gate, sock=socket, ssl=self._context, ssl_handshake_timeout=self._handshake
        )

    def _apply(self, config: WebConfig) -> None:
        """Use a configuration: all of it, or nothing if that raises."""
        authenticator = Authenticator(config.users) if config.users else None
        before, self._config = self._config, config
        if config.users != before.users:
            self._authenticator = authenticator
        if config.rate_limit != before.rate_limit:
            limit = config.rate_limit
            self._bucket = TokenBucket(limit.interval, limit.burst) if limit else None
        if self._gate is not None:
            self._gate.allowed_names = config.tls.allowed_names if config.tls else frozenset()


async def _supervise(work: Callable[[], Awaitable[None]]) -> None:
    """Run work that never ends, again after each fault."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("a background task of the web server failed; it starts again")
        await asyncio.sleep(_SWEEP_SECONDS)


def _closing(status: int, text: str) -> web.Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    response = web.Response(status=status, text=f"{text}\n", headers=headers)
    response.force_close()
    return response


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
