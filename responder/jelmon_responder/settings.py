"""What the responder can be told, from flags and environment."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from jelmon.config.settings import ListenAddress, parse_duration, read_secret
from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon_responder.mail.settings import MailSettings

DEFAULT_HISTORY = "sqlite:alert-history.db"
DEFAULT_LISTEN = "127.0.0.1:9748"
DEFAULT_ACTIONS = ("scale_up", "enable_throttling", "restart_pipeline", "check_dependencies")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderSettings:
    """Settings of one responder; the defaults stand here."""

    listen: ListenAddress = field(default_factory=lambda: ListenAddress.parse(DEFAULT_LISTEN))
    web_config: Path | None = None
    history_url: str = field(default=DEFAULT_HISTORY, repr=False)
    alertmanager_urls: tuple[str, ...] = ()
    poll_seconds: float = 60.0
    settle_seconds: float = 300.0
    """An Alertmanager younger than this may not have heard of every alert yet (Prometheus sends again each minute)."""
    nats: NatsSettings | None = None
    allowed_actions: tuple[str, ...] = DEFAULT_ACTIONS
    rules_file: Path | None = None
    mail: MailSettings | None = None

    def __post_init__(self) -> None:
        for url in self.alertmanager_urls:
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ConfigError(
                    f"--alertmanager.url: {url!r} is not an address", hint="write http://127.0.0.1:9093, for example"
                )
        if not 0 < self.poll_seconds <= 3600:
            raise ConfigError("--alertmanager.poll-interval must be more than 0 and at most 1h")

    @classmethod
    def read(cls, args: argparse.Namespace, environ: Mapping[str, str]) -> "ResponderSettings":
        """Settings from flags; the URL of the history may come from a file, as it may hold a password.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """
        secret_url = read_secret(environ, "RESPONDER_DATABASE_URL")
        if args.history_url and secret_url:
            raise ConfigError(
                "--history.url and RESPONDER_DATABASE_URL_FILE are both given", hint="give one of the two"
            )
        if args.history_url and has_password(args.history_url):
            raise ConfigError(
                "--history.url holds a password, which every user of this machine can see",
                hint="leave it out and set PGPASSFILE, or put the URL in a file and set RESPONDER_DATABASE_URL_FILE",
            )
        return cls(
            listen=ListenAddress.parse(args.listen),
            web_config=args.web_config,
            history_url=args.history_url or secret_url or DEFAULT_HISTORY,
            alertmanager_urls=tuple(url.rstrip("/") for url in args.alertmanager_urls),
            poll_seconds=parse_duration(args.poll_interval, name="--alertmanager.poll-interval"),
            settle_seconds=parse_duration(args.settle, name="--alertmanager.settle"),
            mail=_mail(args, environ),
            nats=NatsSettings.from_environ(environ, url=args.nats_url)
            if args.nats_url or environ.get("NATS_URL")
            else None,
            allowed_actions=_words(args.allowed_actions),
            rules_file=args.rules_file,
        )


def _mail(args: argparse.Namespace, environ: Mapping[str, str]) -> MailSettings | None:
    """Mail is sent if there is a server for it; the rest of the flags then has to be complete."""
    if not args.email_server:
        if args.email_to or args.email_from:
            raise ConfigError("--email.to and --email.from need --email.server", hint="write smtp.example.org:587")
        return None
    return MailSettings(
        server=args.email_server,
        sender=args.email_from,
        recipients=_words(args.email_to),
        security=args.email_security,
        user=args.email_user,
        password=read_secret(environ, "RESPONDER_SMTP_PASSWORD"),
        severities=_words(args.email_severities),
        max_per_hour=args.email_max_per_hour,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def has_password(url: str) -> bool:
    """True if the URL carries a password, in its user part or as a parameter."""
    try:
        parts = urlsplit(url)
        return bool(parts.password) or any(pair.startswith("password=") for pair in parts.query.split("&"))
    except ValueError:
        return False
