"""Remote write 1.0: to Prometheus, Mimir, VictoriaMetrics, `jelmon store`, or whatever else speaks it.

A thread encodes and sends while the simulation goes on. What fails for the moment is sent again with growing pauses;
sending the same samples twice changes nothing. A refusal is final, and its hint says which setting it is about.
"""

import base64
import contextlib
import http.client
import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import cramjam

from jelmon import __version__
from jelmon.config.urls import has_password
from jelmon.errors import ConfigError, SourceError
from jelmon_history.columns import Chunk
from jelmon_history.outputs.protobuf import Encoder

SAMPLES_PER_REQUEST = 20_000
_WAITING_CHUNKS = 4
_TIMEOUT_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": f"jelmon-history/{__version__}",
}
_HINTS = (
    (
        ("out of bounds", "too old", "out of order", "out-of-order"),
        "the server has newer samples already: set storage.tsdb.out_of_order_time_window (Prometheus) or "
        "limits.out_of_order_time_window (Mimir) to more than the age of the oldest event, for example 31d, or write "
        "into a fresh server with --tsdb",
    ),
    (
        ("duplicate",),
        "the server has other values of these series at the same times: delete them, or choose other labels with "
        "--instance.exporter, --instance.analyzer and --label",
    ),
    (("remote write receiver",), "start Prometheus with --web.enable-remote-write-receiver"),
    (("no org id",), "name the tenant: --remote-write.header 'X-Scope-OrgID: NAME'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """The server that takes remote write, and what it needs to see."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    bearer_token: Callable[[], str] | None = field(default=None, repr=False)  # reads the file again: it may be renewed
    user: str | None = None
    password: Callable[[], str] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    patience_seconds: float = 600.0  # how long a chunk is tried

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "--remote-write: not an HTTP URL", hint="for Prometheus, write http://127.0.0.1:9090/api/v1/write"
            )
        if has_password(self.url):
            raise ConfigError(
                "--remote-write contains a password, which every user of this machine can see",
                hint="set REMOTE_WRITE_USER, and REMOTE_WRITE_PASSWORD_FILE to the path of a file",
            )

    @property
    def parts(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    def request_headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return {**_HEADERS, **self.authorization()}

    def authorization(self) -> dict[str, str]:
        """Return the headers that say who writes, also for queries to the same server."""
        headers = dict(self.headers)
        if self.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self.bearer_token()}"
        elif self.user is not None:
            pair = f"{self.user}:{self.password() if self.password is not None else ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers


class RemoteWriter:
    """Sends chunks in order. `written` is called with the end of each chunk once the server has it."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        written: Callable[[float], None] = lambda _: None,
        samples_per_request: int = SAMPLES_PER_REQUEST,
    ) -> None:
        """Start the sending thread; nothing is sent yet."""
        self._receiver = receiver
        self._written = written
        self._encoder = Encoder(samples_per_request)
        self._connection: http.client.HTTPConnection | None = None
        self._chunks: queue.Queue[Chunk | None] = queue.Queue(_WAITING_CHUNKS)
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote write", daemon=True)
        self._thread.start()
        self.requests = 0
        self.retries = 0

    def write(self, chunk: Chunk) -> None:
        """Queue a chunk; wait while several are under way.

        Raises:
            SourceError: this chunk or an earlier one is refused, or the server does not answer for too long.
        """
        while True:
            self._raise()
            with contextlib.suppress(queue.Full):
                self._chunks.put(chunk, timeout=0.2)
                return

    def finish(self) -> None:
        """Wait until the server has everything.

        Raises:
            SourceError: it is refused, or the server does not answer for too long.
        """
        while self._chunks.unfinished_tasks and self._thread.is_alive():
            time.sleep(0.02)
        self._raise()

    def close(self) -> None:
        """End the thread, whatever is still to be sent."""
        self._stop.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._chunks.get_nowait()
            with contextlib.suppress(queue.Full):
                self._chunks.put_nowait(None)
            self._thread.join(0.05)
        if self._connection is not None:
            self._connection.close()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while (chunk := self._chunks.get()) is not None:
                for request in self._encoder.requests(chunk):
                    self._deliver(bytes(cramjam.snappy.compress_raw(request)))
                self._written(chunk.end)
                self._chunks.task_done()
        except _StoppedError:
            pass
        except Exception as error:  # the writer of chunks must learn of it, whatever it is
            self._failure = error

    def _deliver(self, body: bytes) -> None:
        """Send a request until the server has it."""
        deadline, pause = time.monotonic() + self._receiver.patience_seconds, _FIRST_PAUSE
        while True:
            trouble, wait = self._send(body)
            if not trouble:
                self.requests += 1
                return
            self.retries += 1
            if time.monotonic() > deadline:
                raise SourceError(
                    f"{self._receiver.parts.netloc} does not take samples: {trouble}",
                    hint="run the same command again with --resume when it does",
                )
            if self._stop.wait(max(pause, wait)):
                raise _StoppedError
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self, body: bytes) -> tuple[str, float]:
        """Send a request once; return why it must be sent again (empty if not), and how long to wait at least.

        Raises:
            SourceError: the server refuses the samples.
        """
        parts = self._receiver.parts
        try:
            if self._connection is None:
                self._connection = self._connect(parts)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            self._connection.request("POST", target, body, self._receiver.request_headers())
            response = self._connection.getresponse()
            answer = response.read(4096).decode(errors="replace").strip()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise SourceError(
                    f"the certificate of {parts.netloc} is not trusted: {error.verify_message}",
                    hint="name its CA with --remote-write.ca-file",
                ) from error
            return str(error) or type(error).__name__, 0.0
        if 200 <= response.status < 300:
            return "", 0.0
        if response.status == 429 or response.status >= 500:
            return f"HTTP {response.status} {answer[:200]}".strip(), _retry_after(response.getheader("Retry-After"))
        raise _refused(parts.netloc, response.status, answer)

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_SECONDS)
        context = ssl.create_default_context(cafile=str(self._receiver.ca_file) if self._receiver.ca_file else None)
        return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_SECONDS, context=context)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _StoppedError(Exception):
    """The writer is closed."""


def _retry_after(header: str | None) -> float:
    """Return the seconds of a Retry-After header; 0 for none, or for a date."""
    return min(float(header), 300.0) if header is not None and header.strip().isdecimal() else 0.0


def _refused(server: str, status: int, answer: str) -> SourceError:
    known = answer.lower()
    hint = next((hint for words, hint in _HINTS if any(word in known for word in words)), "")
    if not hint and status in (401, 403):
        hint = "set REMOTE_WRITE_BEARER_TOKEN_FILE, or REMOTE_WRITE_USER and REMOTE_WRITE_PASSWORD_FILE"
    if not hint and status in (404, 405):
        hint = "check the path of the URL; a Prometheus needs --web.enable-remote-write-receiver"
    return SourceError(f"{server} refuses the samples: HTTP {status} {answer[:300]}".strip(), hint=hint)
