"""The store that a backfill sends to."""

import http.client
import time
import urllib.error

import cramjam

from jelmon.errors import SourceError
from jelmon_store.commands.endpoint import Endpoint

_RETRIES = 30


class Target:
    """A store to send to. Refused samples are noted, the others of the same request are stored."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.sent = 0
        self.refusals: list[str] = []

    def send(self, body: bytes, samples: int) -> None:
        """Send a ``WriteRequest``; wait while the store is busy or away.

        A request whose answer was lost is sent again: the store keeps each sample once.
        """
        compressed = bytes(cramjam.snappy.compress_raw(body))
        url = self._endpoint.url
        for attempt in range(_RETRIES):
            headers = {
                "Content-Encoding": "snappy",
                "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
                **({"Retry-Attempt": str(attempt)} if attempt else {}),
            }
            last = attempt == _RETRIES - 1
            try:
                self._endpoint.send(compressed, headers)
                break
            except urllib.error.HTTPError as error:
                reason = error.read(500).decode(errors="replace").strip()
                if error.code == 400:
                    self.refusals.append(reason)
                    break
                if error.code < 500 or last:
                    raise SourceError(f"{url} answered {error.code}: {reason}") from error
                time.sleep(_seconds(error.headers.get("Retry-After")))
            except (OSError, http.client.HTTPException) as error:
                # a store that never answered is not there; one that did may have been restarted
                if last or not (self.sent or _may_be_there(error)):
                    raise SourceError(
                        f"{url} does not respond: {error}", hint="is the store running? --to names another URL"
                    ) from error
                time.sleep(1)
        self.sent += samples


def _may_be_there(error: object) -> bool:
    """Return whether the server has taken the request, or part of it."""
    error = getattr(error, "reason", error)
    return isinstance(error, TimeoutError | ConnectionResetError | BrokenPipeError | http.client.HTTPException)


def _seconds(text: str | None) -> float:
    """Return the wait that a server asks for; it may name a date instead, or anything."""
    try:
        return min(max(float(text or 1), 0.1), 60.0)
    except ValueError:
        return 1.0
