"""The result of a probe, and the reasons why one fails."""

import socket
import ssl
from dataclasses import dataclass, field

import aiohttp

from jelmon_exporter.collectors.targets import SecretError


class ProbeError(Exception):
    """A probe failed; ``reason`` is one of the catalogue's closed set."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Result:
    """The result of one probe. ``phases`` are in seconds, summed over redirects."""

    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    expires: float | None = None
    reason: str = ""
    detail: str = ""

    @property
    def up(self) -> bool:
        """Whether the target answered as expected."""
        return not self.reason

    def add(self, phase: str, seconds: float) -> None:
        """Add time spent in a phase."""
        self.phases[phase] = self.phases.get(phase, 0.0) + max(seconds, 0.0)


def reason_of(error: Exception) -> str:
    """Return the reason for a failure, one of the catalogue's closed set."""
    match error:
        case ProbeError():
            return error.reason
        case SecretError():
            return "secret"
        case aiohttp.ClientConnectorDNSError():
            cause = error.os_error
            return cause.reason if isinstance(cause, ProbeError) else "resolve"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls"
        case aiohttp.ServerTimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError():
            return "connect"
        case aiohttp.ClientError() | ValueError():
            return "protocol"
        case socket.gaierror():
            return "resolve"
        case _:
            return "connect"
