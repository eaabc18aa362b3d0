"""The HTTP server that every service shares: limits, TLS, basic auth, health endpoints, landing page.

TLS, users and headers come from the web-config file that Prometheus' own exporters read
(``tls_server_config``, ``http_server_config.headers``, ``basic_auth_users``). Health endpoints stay open under basic
auth, as orchestrators cannot log in; they tell states, never addresses or secrets.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import html
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import yaml
from aiohttp import web

from jelmon import __version__
from jelmon.errors import ConfigError
from jelmon.settings import ListenAddress

OPEN_PATHS = frozenset({"/-/healthy", "/-/ready", "/health"})
MAX_BODY_BYTES = 8 * 1024 * 1024
HEADER_LIMIT_BYTES = 8190
_TLS_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_OPTIONAL,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing a service depends on. ``detail`` is shown to anybody who asks: no secrets."""

    ok: bool
    detail: str = ""


Checks = Callable[[], Mapping[str, Check]]
"""Asked at each request of ``/-/ready`` and ``/health``; must not block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """What the web-config file says. Empty: no TLS, no users, no extra headers."""

    tls: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "WebConfig":
        """Read a web-config file; paths in it are relative to it.

        Raises:
            ConfigError: unreadable, not YAML, an unknown field, or a certificate that does not load.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: cannot read the web config: {error}") from error
        top = _section(content, path, "", ("tls_server_config", "http_server_config", "basic_auth_users"))
        http = _section(top.get("http_server_config"), path, "http_server_config", ("headers", "http2"))
        users = top.get("basic_auth_users") or {}
        if not isinstance(users, dict) or not all(str(value).startswith("$2") for value in users.values()):
            raise ConfigError(
                f"{path}: basic_auth_users: each user needs a bcrypt hash",
                hint="make one with: htpasswd -nBC 10 '' | tr -d ':'",
            )
        return cls(
            tls=_tls_context(top["tls_server_config"], path) if top.get("tls_server_config") else None,
            users={str(name): str(value).encode() for name, value in users.items()},
            headers={str(name): str(value) for name, value in (http.get("headers") or {}).items()},
        )


def _section(value: Any, path: Path, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    place = f"{path}: {name}" if name else str(path)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected a mapping, got {type(value).__name__}")
    for key in value:
        if key not in known:
            raise ConfigError(f"{place}: unknown field {key!r}", hint=f"known are {', '.join(known)}")
    return value


def _tls_context(value: Any, path: Path) -> ssl.SSLContext:
    known = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version")
    section = _section(value, path, "tls_server_config", known)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.minimum_version = _TLS_VERSIONS[section.get("min_version", "TLS12")]
        if section.get("max_version"):
            context.maximum_version = _TLS_VERSIONS[section["max_version"]]
        client_auth = section.get("client_auth_type", "NoClientCert")
        context.verify_mode = _CLIENT_AUTH[client_auth]
        context.load_cert_chain(path.parent / section["cert_file"], path.parent / section["key_file"])
        if section.get("client_ca_file"):
            context.load_verify_locations(path.parent / section["client_ca_file"])
    except KeyError as error:
        raise ConfigError(f"{path}: tls_server_config: {error} is missing or not supported") from error
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{path}: tls_server_config: {error}", hint="check cert_file and key_file") from error
    if section.get("client_ca_file") and client_auth == "NoClientCert":
        raise ConfigError(f"{path}: client_ca_file is given but client_auth_type is NoClientCert")
    return context


class _Authenticator:
    """Checks passwords against bcrypt hashes; a password that passed is remembered, as bcrypt is slow on purpose."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._salt = hashlib.sha256(repr(sorted(users.items())).encode()).digest()
        self._passed: set[bytes] = set()

    async def passes(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        # bcrypt reads 72 bytes and newer versions refuse more
        stored = self._users.get(name.decode("utf-8", "replace"))
        digest = hmac.digest(self._salt, name + colon + password, "sha256")
        if stored is None or len(password) > 72:
            return False
        if digest not in self._passed:
            if not await asyncio.to_thread(bcrypt.checkpw, password, stored):
                return False
            self._passed.add(digest)
        return True


def _guard(config: WebConfig) -> Any:
    authenticator = _Authenticator(config.users)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        needs_login = config.users and request.path not in OPEN_PATHS
        if needs_login and not await authenticator.passes(request.headers.get("Authorization", "")):
            return web.Response(status=401, text="unauthorized\n", headers={"WWW-Authenticate": "Basic"})
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(config.headers)
            raise
        response.headers.update(config.headers)
        return response

    return guard


def _health_routes(service: str, checks: Checks, started: float) -> list[web.RouteDef]:
    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def ready(_: web.Request) -> web.Response:
        failed = sorted(name for name, check in checks().items() if not check.ok)
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
                name: {"status": "ok" if check.ok else "failed", "detail": check.detail}
                for name, check in sorted(states.items())
            },
        }
        return web.json_response(body, status=200 if ok else 503)

    return [web.get("/-/healthy", healthy), web.get("/-/ready", ready), web.get("/health", health)]


@dataclass(frozen=True, slots=True)
class Link:
    """A line of the landing page."""

    address: str
    text: str


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ text-align: left; padding: .25rem 1.5rem .25rem 0; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }} .bad {{ color: #d33; }}
footer {{ margin-top: 2rem; opacity: .7; }}
</style></head><body><h1>{title}</h1>
{body}
<footer>jelmon {version}</footer></body></html>
"""


_OK, _FAILED = "<td>ok</td>", "<td class=bad>failed</td>"


def page(title: str, body: str) -> web.Response:
    """A small HTML page in the house style. ``title`` is escaped; ``body`` is HTML, the caller escapes its parts."""
    return web.Response(
        text=_PAGE.format(title=html.escape(title), body=body, version=__version__),
        content_type="text/html",
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


def landing_page(title: str, links: list[Link], checks: Checks, overview: Callable[[], str]) -> Handler:
    """A handler for ``/``: links, the state of each dependency, and a live overview (HTML, already escaped)."""

    async def landing(_: web.Request) -> web.Response:
        items = "".join(
            f'<li><a href="{html.escape(link.address)}">{html.escape(link.text)}</a></li>' for link in links
        )
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td>{_OK if check.ok else _FAILED}<td>{html.escape(check.detail)}</td></tr>"
            for name, check in sorted(checks().items())
        )
        return page(title, f"<ul>{items}</ul>\n<table>{rows}</table>\n{overview()}")

    return landing


class Server:
    """One service's HTTP server.

    Routes are added to ``app`` before `start`. After it ``address`` says where it listens (port 0 is resolved).
    """

    def __init__(
        self, service: str, *, checks: Checks, config: WebConfig | None = None, max_body: int = MAX_BODY_BYTES
    ) -> None:
        config = config or WebConfig()
        self._tls = config.tls
        self.app = web.Application(middlewares=[_guard(config)], client_max_size=max_body)
        self.app.add_routes(_health_routes(service, checks, time.monotonic()))
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            max_line_size=HEADER_LIMIT_BYTES,
            max_field_size=HEADER_LIMIT_BYTES,
            keepalive_timeout=75,
            shutdown_timeout=2,
        )
        self.address: ListenAddress | None = None

    async def start(self, address: ListenAddress) -> None:
        """Listen.

        Raises:
            ConfigError: the port is taken or the address is not ours.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, address.host, address.port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"cannot listen on {address}: {error.strerror or error}",
                hint="another process has the port: stop it, or choose one with --web.listen-address",
            ) from error
        self.address = ListenAddress(*self._runner.addresses[0][:2])

    @property
    def url(self) -> str:
        """``http://host:port``, after `start`."""
        assert self.address is not None, "start() first"
        return f"{'https' if self._tls else 'http'}://{self.address}"

    async def stop(self) -> None:
        """Stop listening; requests under way get two seconds."""
        await self._runner.cleanup()
