"""TLS of probes: when the handshake starts, and when a certificate expires."""

import calendar
import ssl
import time
from typing import Any


class TimedContext(ssl.SSLContext):
    """Records when a TLS handshake starts (TCP is connected then), and keeps its object for the certificates."""

    began: float | None = None
    handshake: ssl.SSLObject | None = None

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        self.began = time.perf_counter()
        self.handshake = super().wrap_bio(*arguments, **options)
        return self.handshake


def first_expiry(connection: ssl.SSLObject) -> float | None:
    """Return when the first certificate of the verified chain, else the server's, expires, in seconds since 1970."""
    moments = []
    chain = getattr(getattr(connection, "_sslobj", None), "get_verified_chain", None)  # public, as bytes, from 3.13 on
    for certificate in (chain() or ()) if chain is not None else ():
        moments.append(certificate.get_info().get("notAfter"))
    leaf = connection.getpeercert()
    if leaf:
        moments.append(leaf.get("notAfter"))
    seconds = [calendar.timegm(time.strptime(str(moment), "%b %d %H:%M:%S %Y GMT")) for moment in moments if moment]
    return float(min(seconds)) if seconds else None
