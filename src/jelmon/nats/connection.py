"""Settings of the NATS connection, and connecting.

Once connected, nats-py reconnects by itself, and callers notice an outage by their own timeouts. Only the first attempt
is limited in time, so that a wrong address is reported. The server may also end a connection for good, for example when
a credential expires or a password changes: then the client is closed (`closed`), and its owner calls `connect` again,
which reads the credentials again.
"""

import argparse
import asyncio
import binascii
import contextlib
import importlib.util
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client

from jelmon.config.settings import read_secret
from jelmon.config.urls import is_server_url, without_secret
from jelmon.errors import ConfigError, SourceError
from jelmon.service import tasks

logger = logging.getLogger(__name__)

DEFAULT_URL = "nats://127.0.0.1:4222"
START_HINT = "start a server with `nats-server --jetstream`, or set --nats.url or NATS_URL"
_DEFAULT_INBOX_PREFIX = "_INBOX"
_INBOX_PREFIX = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_CREDENTIAL = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+(\S+)\s+-{3,}END [A-Z ]+-{3,}")
_SCHEMES = ("nats", "tls", "ws", "wss")
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsSettings:
    """Address and credentials of the NATS servers. ``url`` may list several, separated by commas."""

    url: str = DEFAULT_URL
    credentials_file: str | None = None  # a .creds file: JWT and seed
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    password_file: str | None = None  # where the password came from; it is read again for each connection
    token_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    inbox_prefix: str = _DEFAULT_INBOX_PREFIX  # of reply subjects; a separate one hides replies from other users

    def __post_init__(self) -> None:
        for server in self.servers:
            if not is_server_url(server, _SCHEMES):
                raise ConfigError(
                    f"NATS_URL: {without_secret(server)!r} is not the URL of a NATS server",
                    hint="write nats://host:4222, or tls://host:4222",
                )
        for name, path in (
            ("NATS_CREDENTIALS_FILE", self.credentials_file),
            ("NATS_CA_FILE", self.ca_file),
            ("NATS_CERTIFICATE_FILE", self.certificate_file),
            ("NATS_KEY_FILE", self.key_file),
        ):
            if path is not None and not Path(path).is_file():
                raise ConfigError(f"{name}: no such file: {path}", hint="give the path of a readable file")
        if not _INBOX_PREFIX.fullmatch(self.inbox_prefix):
            raise ConfigError(
                f"NATS_INBOX_PREFIX: {self.inbox_prefix!r} is not a subject prefix", hint="for example _INBOX_EXPORTER"
            )
        if bool(self.certificate_file) != bool(self.key_file):
            raise ConfigError(
                "NATS_CERTIFICATE_FILE and NATS_KEY_FILE must be set together", hint="set both or neither"
            )
        if self.credentials_file is not None:
            _check_credentials(Path(self.credentials_file))
        _authentication(self)  # report an unusable file now, not when a server answers

    @property
    def servers(self) -> list[str]:
        return [part.strip() for part in self.url.split(",") if part.strip()] or [""]

    @property
    def wants_tls(self) -> bool:
        """Whether TLS is required: a URL says so, or a CA is given."""
        return self.ca_file is not None or any(urlsplit(server).scheme in ("tls", "wss") for server in self.servers)

    @property
    def shown(self) -> str:
        """The URL for messages, without user and password."""
        return ",".join(without_secret(server) for server in self.servers)

    def renewed(self) -> "NatsSettings":
        """Return the settings with the secrets that their files have now.

        Raises:
            ConfigError: a file cannot be used.
        """
        changes: dict[str, Any] = {}
        if self.password_file is not None:
            changes["password"] = read_secret({"NATS_PASSWORD_FILE": self.password_file}, "NATS_PASSWORD")
        if self.token_file is not None:
            changes["token"] = read_secret({"NATS_TOKEN_FILE": self.token_file}, "NATS_TOKEN")
        return replace(self, **changes)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, url: str | None = None) -> "NatsSettings":
        """Read ``NATS_*`` variables; ``url``, from a flag, comes before ``NATS_URL``.

        Raises:
            ConfigError: a variable is wrong, a file is missing, or a secret is in the environment.
        """
        return cls(
            url=url or environ.get("NATS_URL") or DEFAULT_URL,
            credentials_file=environ.get("NATS_CREDENTIALS_FILE") or None,
            user=environ.get("NATS_USER") or None,
            password=read_secret(environ, "NATS_PASSWORD"),
            token=read_secret(environ, "NATS_TOKEN"),
            password_file=environ.get("NATS_PASSWORD_FILE") or None,
            token_file=environ.get("NATS_TOKEN_FILE") or None,
            ca_file=environ.get("NATS_CA_FILE") or None,
            certificate_file=environ.get("NATS_CERTIFICATE_FILE") or None,
            key_file=environ.get("NATS_KEY_FILE") or None,
            inbox_prefix=environ.get("NATS_INBOX_PREFIX") or _DEFAULT_INBOX_PREFIX,
        )


def add_nats_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of commands that use NATS. Credentials come from files named in the environment."""
    group = parser.add_argument_group("NATS")
    group.add_argument(
        "--nats.url",
        dest="nats_url",
        metavar="URL",
        help=f"NATS servers, separated by commas (default: NATS_URL, else {DEFAULT_URL}); credentials come from "
        "NATS_CREDENTIALS_FILE, NATS_USER with NATS_PASSWORD_FILE, or NATS_TOKEN_FILE",
    )


async def connect(
    settings: NatsSettings,
    *,
    name: str,
    patience: float = 5.0,
    client: Client | None = None,
    on_disconnected: Callable[[], Awaitable[None]] | None = None,
    on_reconnected: Callable[[], Awaitable[None]] | None = None,
    **options: Any,
) -> Client:
    """Connect to NATS, trying for ``patience`` seconds. A lost connection is restored until it is refused.

    Credentials and certificates are read again. ``client`` may be an instance of a subclass; ``options`` go to
    nats-py's ``connect``.

    Raises:
        SourceError: no server answers, it refuses us, or the credentials or certificates cannot be read.
    """
    client = client or Client()
    client._close = _complete_close(client)  # type: ignore[method-assign]
    try:
        settings = settings.renewed()
        authentication = _authentication(settings)
    except ConfigError as error:  # perhaps being renewed at this moment
        raise SourceError(error.message, hint=error.hint) from error
    refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    established = asyncio.Event()
    closing: list[asyncio.Task[None]] = []
    last: list[Exception] = []

    async def on_error(error: Exception) -> None:
        last[:] = [error]
        if not refused.done() and not client.is_connected and _is_refusal(error):
            refused.set_result(error)
        if established.is_set() and not client.is_connected and _is_refusal(error):
            # nats-py would go on for ever with the credentials that it has; not awaited, as it runs in its own task
            closing.append(asyncio.create_task(client.close()))
        logger.debug("NATS connection", extra={"error": str(error) or type(error).__name__})

    attempt: asyncio.Task[Any] = asyncio.create_task(
        client.connect(
            servers=settings.servers,
            name=name,
            error_cb=on_error,
            disconnected_cb=on_disconnected,
            reconnected_cb=on_reconnected,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=options.pop("reconnect_time_wait", 0.25),
            inbox_prefix=settings.inbox_prefix,
            connect_timeout=max(1, min(5, round(patience))),
            **authentication,
            **options,
        )
    )
    try:
        await asyncio.wait({attempt, refused}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not attempt.done():
            with contextlib.suppress(Exception):
                await tasks.end(attempt)
            await client.close()
    if attempt.cancelled() or attempt.exception() is not None:
        failure = None if attempt.cancelled() else attempt.exception()
        cause = refused.result() if refused.done() else (last[0] if last else failure)
        raise _unreachable(settings, cause) from cause
    refused.cancel()
    established.set()
    if settings.wants_tls and not client._server_info.get("tls_required"):  # nats-py falls back to plain text
        await client.close()
        raise SourceError(
            f"NATS at {settings.shown} does not offer TLS",
            hint="configure TLS on the server, or use a nats:// URL without NATS_CA_FILE",
        )
    return client


def _complete_close(client: Client) -> Any:
    """Return the client's way to close, which nats-py (2.16) leaves half done if the connection breaks meanwhile.

    Subscriptions and socket would stay, and the error would be logged as one that nobody awaits.
    """
    close = client._close

    async def close_completely(status: int, do_cbs: bool = True) -> None:
        try:
            await close(status, do_cbs)
        except OSError:
            client._status = Client.DISCONNECTED  # what was to be sent is lost now, so that the second time succeeds
            await close(status, do_cbs)

    return close_completely


async def closed(client: Client) -> None:
    """Wait until the client is closed for good."""
    while not client.is_closed:
        await asyncio.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def cancelled_by_closing() -> Iterator[None]:
    """Turn the cancellation that a closing client inflicts on whoever waits for its messages into its error."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise nats.errors.ConnectionClosedError from error


def _is_refusal(error: Exception) -> bool:
    """Return whether the server answered and refused the connection, so that retrying cannot help."""
    text = str(error).lower()
    return isinstance(error, nats.errors.AuthorizationError | ssl.SSLError) or any(
        word in text for word in ("authorization violation", "authentication", "tls required")
    )


def _unreachable(settings: NatsSettings, cause: BaseException | None) -> SourceError:
    if isinstance(cause, Exception) and _is_refusal(cause):
        return SourceError(
            f"NATS at {settings.shown} refuses the connection: {cause}",
            hint="check NATS_CREDENTIALS_FILE, NATS_USER and NATS_PASSWORD_FILE, NATS_TOKEN_FILE, NATS_CA_FILE",
        )
    why = f": {str(cause) or type(cause).__name__}" if cause else ""
    return SourceError(f"NATS at {settings.shown} does not answer{why}", hint=START_HINT)


def _check_credentials(path: Path) -> None:
    """Check a credentials file now: nats-py reads it at each attempt to connect and retries forever if it is bad.

    Raises:
        ConfigError: the file cannot be read, or a part is missing or damaged.
    """
    if importlib.util.find_spec("nkeys") is None:
        raise ConfigError(
            "NATS_CREDENTIALS_FILE needs the package that provides 'nkeys'", hint="pip install 'nats-py[nkeys]'"
        )
    nkeys = importlib.import_module("nkeys")
    try:
        credentials = dict(_CREDENTIAL.findall(path.read_text(encoding="ascii")))
        if not credentials.get("NATS USER JWT", "").count(".") == 2:
            raise ValueError("no user JWT in it")
        seed = credentials.get("USER NKEY SEED", "").encode()
        if not seed:
            raise ValueError("no user seed in it")
        if not nkeys.from_seed(bytearray(seed)).public_key.startswith(b"U"):
            raise ValueError("its seed is not a user seed")
    except (OSError, ValueError, binascii.Error, nkeys.NkeysError) as error:
        raise ConfigError(
            f"NATS_CREDENTIALS_FILE: {path} cannot be used: {str(error) or type(error).__name__}",
            hint="give a user's .creds file, as `nsc generate creds` writes it",
        ) from error


def _authentication(settings: NatsSettings) -> dict[str, Any]:
    """Return the credentials and certificates as options of nats-py."""
    options: dict[str, Any] = {}
    if settings.credentials_file is not None:
        options["user_credentials"] = settings.credentials_file
    if settings.user is not None:
        options |= {"user": settings.user, "password": settings.password}
    if settings.token is not None:
        options["token"] = settings.token
    if settings.ca_file is not None or settings.certificate_file is not None:
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
            if settings.certificate_file is not None:
                context.load_cert_chain(settings.certificate_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"NATS_CA_FILE, NATS_CERTIFICATE_FILE or NATS_KEY_FILE cannot be used: {error}",
                hint="all three must be PEM files",
            ) from error
        options["tls"] = context
    return options
