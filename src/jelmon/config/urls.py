"""Checks of the URLs of servers, and URLs fit for a message: without their secrets."""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from jelmon.errors import ConfigError

_REDIS_SCHEMES = ("redis", "rediss", "unix")


def is_server_url(url: str, schemes: Iterable[str]) -> bool:
    """Return whether the URL has one of the schemes, a host, and a port that exists if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is missing
        return False


def check_redis_url(url: str, *, name: str) -> None:
    """Check the URL of a Redis server. The message does not repeat it, as it may hold a password.

    Raises:
        ConfigError: another scheme, or a password in the URL.
    """
    secret = any(name.lower() == "password" for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if urlsplit(url).scheme not in _REDIS_SCHEMES or "@" in url or secret:
        raise ConfigError(
            f"{name}: not the address of a Redis server",
            hint="write redis://host:6379/0, or rediss:// for TLS; a password goes into REDIS_PASSWORD_FILE",
        )


def without_secret(url: str) -> str:
    """Return the URL without the user and password before an ``@``."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url.rpartition("@")[2]


def has_password(url: str) -> bool:
    """Return whether the user part of the URL has a password."""
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        return False
