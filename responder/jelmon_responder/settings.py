"""The responder's settings, from flags and the environment."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from jelmon.config.reader import SettingsReader, given
from jelmon.config.settings import ListenAddress
from jelmon.config.urls import has_password, without_secret
from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon_responder.mail.settings import MailSettings

DEFAULT_HISTORY = "sqlite:alert-history.db"
DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9748)
DEFAULT_ACTIONS = ("scale_up", "enable_throttling", "restart_pipeline", "check_dependencies")
_ACTION = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderSettings:
    """Settings of one responder."""

    listen: ListenAddress = DEFAULT_ADDRESS
    web_config: Path | None = None
    webhook_users: tuple[str, ...] = ()
    history_url: str = field(default=DEFAULT_HISTORY, repr=False)
    alertmanager_urls: tuple[str, ...] = ()
    poll_seconds: float = 60.0
    settle_seconds: float = 300.0
    """Grace period after an Alertmanager start: Prometheus resends alerts each minute, so some may still be missing."""
    nats: NatsSettings | None = None
    allowed_actions: tuple[str, ...] = DEFAULT_ACTIONS
    rules_file: Path | None = None
    mail: MailSettings | None = None

    def __post_init__(self) -> None:
        for url in self.alertmanager_urls:
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ConfigError(
                    f"--alertmanager.url: {without_secret(url)!r} is not an HTTP URL",
                    hint="write http://127.0.0.1:9093, for example",
                )
            if has_password(url):
                raise ConfigError(
                    "--alertmanager.url contains a password, which every user of this machine can see",
                    hint="remove it; let a proxy on this machine log in to Alertmanager",
                )
        for name in self.allowed_actions:
            if not _ACTION.fullmatch(name):
                raise ConfigError(
                    f"--actions.allowed: {name!r} is not the name of an action",
                    hint="letters, digits, _ and -, at most 64; separate several with commas",
                )
        if not 0 < self.poll_seconds <= 3600:
            raise ConfigError("--alertmanager.poll-interval must be more than 0 and at most 1h")

    @property
    def publishes_actions(self) -> bool:
        """Whether alerts can request actions: there is a NATS server, and at least one action is allowed."""
        return self.nats is not None and bool(self.allowed_actions)

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags and the environment.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """
        nats_url = reader.text("--nats.url", "NATS_URL")
        return cls(
            alertmanager_urls=tuple(url.rstrip("/") for url in reader.many("--alertmanager.url")),
            mail=_mail(reader),
            nats=NatsSettings.from_environ(reader.environ, url=nats_url) if nats_url else None,
            **given(
                listen=reader.address("--web.listen-address"),
                web_config=reader.path("--web.config.file"),
                webhook_users=reader.words("--web.webhook-users"),
                history_url=_history_url(reader),
                poll_seconds=reader.duration("--alertmanager.poll-interval"),
                settle_seconds=reader.duration("--alertmanager.settle"),
                allowed_actions=reader.words("--actions.allowed"),
                rules_file=reader.path("--rules.file"),
            ),
        )


def _history_url(reader: SettingsReader) -> str | None:
    url = reader.text("--history.url")
    pairs = url.partition("?")[2].split("&") if url else []
    if any(unquote(pair).startswith(("password=", "sslpassword=")) for pair in pairs):
        raise ConfigError(
            "--history.url contains a password, which every user of this machine can see",
            hint="remove it and set PGPASSFILE, or put the URL in a file and set RESPONDER_DATABASE_URL_FILE to "
            "its path",
        )
    return reader.database_url("--history.url", "RESPONDER_DATABASE_URL")


def _mail(reader: SettingsReader) -> MailSettings | None:
    """Return the settings of mail; None without a mail server."""
    server = reader.text("--email.server")
    sender, recipients = reader.text("--email.from"), reader.words("--email.to")
    if not server:
        if sender or recipients:
            raise ConfigError("--email.to and --email.from need --email.server", hint="write smtp.example.org:587")
        return None
    return MailSettings(
        server=server,
        sender=sender or "",
        recipients=recipients or (),
        password=reader.secret("RESPONDER_SMTP_PASSWORD"),
        **given(
            security=reader.text("--email.security"),
            user=reader.text("--email.user"),
            severities=reader.words("--email.severities"),
            max_per_hour=reader.whole("--email.max-per-hour"),
        ),
    )
