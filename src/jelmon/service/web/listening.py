"""Opens the sockets that a server listens on."""

import errno
import socket

from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError

_BACKLOG = 128
_HINTS = {
    errno.EADDRINUSE: "another process uses the port: stop it, or choose another with --web.listen-address",
    errno.EACCES: "ports below 1024 need root: choose another with --web.listen-address",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one with --web.listen-address",
}
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def open_sockets(address: ListenAddress) -> list[socket.socket]:
    """Return bound sockets: one for each address of the host; for all interfaces, one of IPv4 and one of IPv6.

    Port 0 becomes the same free port for all.

    Raises:
        ConfigError: the port is in use or the address is not local.
    """
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, place in _places(address):
            try:
                sockets.append(_bound(family, (place, port)))
            except OSError as error:
                if family == socket.AF_INET6 and sockets and error.errno in _NO_IPV6:
                    continue  # a machine without IPv6
                raise
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for one in sockets:
            one.close()
        raise ConfigError(
            f"cannot listen on {address}: {error.strerror or error}",
            hint=_HINTS.get(error.errno or 0, "check the host in --web.listen-address"),
        ) from error
    return sockets


def _places(address: ListenAddress) -> list[tuple[int, str]]:
    """Return the family and the numeric address of each socket."""
    if address.is_any:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return sorted({(int(family), str(place[0])) for family, _, _, _, place in found})


def _bound(family: int, place: tuple[str, int]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(place)
        opened.listen(_BACKLOG)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened
