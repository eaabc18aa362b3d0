"""Parsers of single settings: durations, addresses, secrets. Each service has its settings class in its own folder."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jelmon.errors import ConfigError

Secret = Callable[[], str]
"""Returns a secret as its file has it now: it may be renewed while a service runs. Raises ConfigError."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)


def parse_duration(text: str, *, name: str) -> float:
    """Return the seconds of a Prometheus-style duration such as ``30s``, ``1h30m`` or ``500ms``.

    ``name`` is the variable or flag, for the message.

    Raises:
        ConfigError: the text is not a duration.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(
            f"{name}: {text!r} is not a duration", hint="write a number and a unit: 500ms, 30s, 5m, 1h30m, 7d"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """The address a service listens on: loopback unless a host is given; an empty host means all interfaces."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, name: str = "--web.listen-address") -> "ListenAddress":
        """Read ``host:port``, ``:port`` (all interfaces, as in Prometheus) or ``port`` (loopback).

        Raises:
            ConfigError: no port, or one outside 0-65535.
        """
        host, colon, port = text.rpartition(":")
        if not colon:
            host = "127.0.0.1"
        bare = host.removeprefix("[").removesuffix("]")
        if (":" in bare) != (len(host) - len(bare) == 2):
            raise ConfigError(
                f"{name}: {text!r} is not an address", hint="put an IPv6 address in brackets, for example [::1]:9746"
            )
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"{name}: {text!r} is not an address", hint="write host:port, for example 127.0.0.1:9746")
        return cls(bare, int(port))

    @property
    def is_any(self) -> bool:
        """Whether it is the address of all interfaces, of IPv4 and IPv6."""
        return self.host in ("", "::")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_secret(environ: Mapping[str, str], name: str) -> str | None:
    """Return the secret in the file that ``<name>_FILE`` names, without the final newline; None when unset.

    A secret in the variable ``<name>`` itself is refused: the environment is visible to every child process and in
    crash reports.

    Raises:
        ConfigError: the file cannot be read, or the secret is in the environment.
    """
    if environ.get(name):
        raise ConfigError(
            f"{name} is set in the environment", hint=f"put the secret in a file and set {name}_FILE to its path"
        )
    path = environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(
            f"{name}_FILE: cannot read {path}: {error.strerror}",
            hint="give the path of a file that this user may read",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}_FILE: {path} is not text", hint="the secret must be UTF-8") from error


def secret_of(environ: Mapping[str, str], name: str) -> Secret | None:
    """Return what reads the secret in the file that ``<name>_FILE`` names, again for each use; None when unset.

    Raises:
        ConfigError: the file cannot be read now, or the secret is in the environment.
    """
    return None if read_secret(environ, name) is None else lambda: read_secret(environ, name) or ""
