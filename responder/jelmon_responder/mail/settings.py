"""Settings of the mail server, the recipients and the budget."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from jelmon.catalogue import ALERT_SEVERITIES
from jelmon.config.settings import Secret
from jelmon.errors import ConfigError

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Where e-mail goes, through which server, and how much of it."""

    server: str  # host:port
    sender: str
    recipients: tuple[str, ...]
    security: Security = "starttls"
    user: str | None = None
    password: Secret | None = field(default=None, repr=False)
    severities: tuple[str, ...] = ("critical", "warning")
    max_per_hour: int = 10

    def __post_init__(self) -> None:
        host, _, port = self.server.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"--email.server: {self.server!r} is not HOST:PORT", hint="write smtp.example.org:587")
        if self.security not in get_args(Security):
            raise ConfigError(
                f"--email.security: unknown value {self.security!r}", hint=f"one of {', '.join(get_args(Security))}"
            )
        for name, address in [("from", self.sender), *(("to", address) for address in self.recipients)]:
            if "@" not in address or not address.isprintable() or " " in address:
                raise ConfigError(
                    f"--email.{name}: {address!r} is not an e-mail address", hint="write team@example.org"
                )
        if not self.recipients:
            raise ConfigError(
                "--email.to is empty", hint="write team@example.org; separate several addresses with commas"
            )
        if not 1 <= self.max_per_hour <= 10_000:
            raise ConfigError("--email.max-per-hour must be a number from 1 to 10000")
        if unknown := [severity for severity in self.severities if severity not in ALERT_SEVERITIES]:
            raise ConfigError(
                f"--email.severities: unknown severity {unknown[0]!r}", hint=f"one of {', '.join(ALERT_SEVERITIES)}"
            )
        if self.user and self.security == "none":
            raise ConfigError(
                "--email.user with --email.security none would send the password in plain text",
                hint="use starttls or tls",
            )
