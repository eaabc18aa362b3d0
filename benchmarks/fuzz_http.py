"""Hostile HTTP requests against a running service: no 5xx but a documented 503, no traceback, flat memory.

    python benchmarks/fuzz_http.py [--service exporter|responder|store] [--requests 20000] [--seed 1]

It starts the service, sends what is known to be hostile (deep nesting, floods of labels and headers, sizes that are
claimed), then valid requests with random bytes changed, inserted, removed or repeated, and asks for the health of the
service every 1000 requests. Exit code 0 if all promises are kept, 1 if not.
"""

import argparse
import contextlib
import gzip
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes, free_port
from jelmon_store.wire import messages, snappy

_EVENT = {
    "specversion": "1.0",
    "type": "jelmore.card.started",
    "id": "e1",
    "source": "/fuzz",
    "subject": "card-1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"pipeline": "main"},
}
_ALERT = {
    "status": "firing",
    "fingerprint": "00",
    "labels": {"alertname": "A", "severity": "info", "pipeline": "main"},
    "annotations": {"summary": "s", "auto_actions": "scale_up"},
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
}
_SECONDS = 30.0
_PATIENCE_SECONDS = 0.5
_CLIENTS = 16
_CHECK_EVERY = 1000
_DOCUMENTED = ("501", "503")
"""Server errors that are no fault: a test alert without an Alertmanager, and too much at once."""
_GROWTH_KB = 5_000
"""How much memory may grow in the second half of the requests."""
_JSON, _PROTOBUF = "Content-Type: application/json\r\n", "Content-Type: application/x-protobuf\r\n"
_V2 = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n"
_INTERESTING = (
    b"\r\n",
    b"\0",
    b"\xff",
    b"%",
    b'"',
    b"\\",
    b":",
    b"{",
    b"[",
    b"gzip",
    b"chunked",
    b"-1",
    b"99999999999999",
)


def post(path: str, body: bytes, headers: str) -> bytes:
    """Return a request with a body."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    """Return a request of a page."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/plain;q=0.5,*/*\r\nAccept-Encoding: gzip\r\n"
        "Authorization: Basic YTpi\r\nConnection: close\r\n\r\n"
    ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How to start a service, what to send, and which paths take a body of which kind."""

    command: Callable[[Processes, Path], list[str]]
    seeds: Callable[[], list[bytes]]
    bodies: dict[str, str]


def _exporter(_: Processes, __: Path) -> list[str]:
    return ["exporter", "--nats.url", "none"]


def _responder(_: Processes, folder: Path) -> list[str]:
    return ["responder", "--history.url", f"sqlite://{folder}/history.db"]


def _store(processes: Processes, folder: Path) -> list[str]:
    paths = servers.get(["postgres", "initdb"], say=print)
    url = launch.postgres(processes, paths["postgres"], paths["initdb"], folder / "postgres", port=free_port())
    return ["store", "--database.url", url]


def _events() -> list[bytes]:
    one, batch = json.dumps(_EVENT).encode(), json.dumps([_EVENT] * 3).encode()
    binary = "".join(f"ce-{name}: {value}\r\n" for name, value in _EVENT.items() if name != "data")
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (one[:50], one[50:])) + b"0\r\n\r\n"
    path = "/api/v1/events"
    return [
        post(path, one, "Content-Type: application/cloudevents+json\r\n"),
        post(path, batch, "Content-Type: application/cloudevents-batch+json\r\n"),
        post(path, json.dumps(_EVENT["data"]).encode(), _JSON + binary),
        post(path, gzip.compress(batch), _JSON + "Content-Encoding: gzip\r\n"),
        f"POST {path} HTTP/1.1\r\nHost: a\r\n{_JSON}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunked,
        *map(get, ("/metrics", "/health", "/-/ready", "/", "/no?a=%ff")),
    ]


def _alerts() -> list[bytes]:
    many = [_ALERT | {"fingerprint": f"{number:02x}", "status": "resolved"} for number in range(20)]
    one, twenty = (
        json.dumps({"version": "4", "receiver": "r", "alerts": alerts}).encode() for alerts in ([_ALERT], many)
    )
    path = "/api/v1/alerts/webhook"
    return [
        post(path, one, _JSON),
        post(path, twenty, _JSON),
        post(path, gzip.compress(twenty), _JSON + "Content-Encoding: gzip\r\n"),
        post("/api/v1/alerts/test", b"{}", _JSON),
        post("/api/v1/email/refused/retry", b"{}", _JSON),
        get("/api/v1/alerts?status=firing&limit=10&pipeline=main"),
        get("/alerts?severity=info&offset=1"),
        *map(get, ("/api/v1/email/refused", "/metrics", "/health", "/-/ready", "/", "/no?a=%ff")),
    ]


def _label(name: str, value: str) -> bytes:
    return bytes(messages.Label(name=name.encode(), value=value.encode()).SerializeToString())


def _series(labels: Sequence[tuple[str, str]]) -> bytes:
    sample = messages.Sample(value=1, timestamp=round(time.time() * 1000))
    series = messages.TimeSeries(labels=[_label(*pair) for pair in labels], samples=[sample])
    return bytes(messages.WriteRequest(timeseries=[series.SerializeToString()]).SerializeToString())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _samples() -> list[bytes]:
    encoding = "Content-Encoding: snappy\r\n"
    now = round(time.time() * 1000)
    written = _series([("__name__", "up"), ("job", "a")])
    second = b"".join(_field(4, text) for text in (b"", b"__name__", b"up", b"job", b"a"))
    second += _field(5, _field(1, b"\1\2\3\4") + _field(2, b"\x09" + bytes(8) + b"\x10" + _varint(now)))

    def read(kind: int, pattern: bytes) -> bytes:
        matcher = _field(3, b"\x08" + _varint(kind) + _field(2, b"job") + _field(3, pattern))
        query = _field(1, b"\x08" + _varint(now - 600_000) + b"\x10" + _varint(now) + matcher)
        return post("/api/v1/read", snappy.compress(query), _PROTOBUF + encoding)

    return [
        post("/api/v1/write", snappy.compress(written), _PROTOBUF + encoding),
        post("/api/v1/write", snappy.compress(second), _V2 + encoding),
        read(0, b"a"),
        read(2, b"(a|b).*c+[x-z]{1,9}"),
        *map(get, ("/metrics", "/health", "/-/ready", "/", "/no?a=%ff")),
    ]


TARGETS = {
    "exporter": Target(command=_exporter, seeds=_events, bodies={"/api/v1/events": _JSON}),
    "responder": Target(
        command=_responder,
        seeds=_alerts,
        bodies=dict.fromkeys(("/api/v1/alerts/webhook", "/api/v1/alerts/test", "/api/v1/email/refused/retry"), _JSON),
    ),
    "store": Target(
        command=_store,
        seeds=_samples,
        bodies=dict.fromkeys(("/api/v1/write", "/api/v1/read"), _PROTOBUF + "Content-Encoding: snappy\r\n"),
    ),
}


def hostile(target: Target) -> dict[str, bytes]:
    """Return requests that are known to be hostile, by name."""
    deep = 500_000
    floods = {f"x{number}": "y" * 20 for number in range(20_000)}
    event = json.dumps(_EVENT | {"data": floods | {"pipeline": "main"}}).encode()
    alert = json.dumps({"version": "4", "alerts": [_ALERT | {"labels": floods, "annotations": floods}]}).encode()
    found: dict[str, bytes] = {}
    for path, headers in target.bodies.items():
        bodies = {
            "deep lists": b"[" * deep,
            "deep objects": b'{"a":' * deep,
            "deep objects in an event": json.dumps(_EVENT).encode()[:-2] + b',"x":' + b'{"a":' * deep,
            "deep lists in an alert": b'{"version":"4","alerts":' + b"[" * deep,
            "deep messages": snappy.compress(_nested(3000)),
            "a flood of names": event,
            "a flood of labels": alert,
            "a flood of labels in a series": snappy.compress(_series([(f"l{n}", "v" * 50) for n in range(50_000)])),
            "a flood of queries": snappy.compress(_field(1, b"\x08\x00\x10\x01") * 100_000),
            "a claimed size": b"\xff\xff\xff\xff\x0f" + b"\x00" * 50,
            "a number without end": b"1" * 1_000_000,
            "a long string": b'"' + b"a" * 5_000_000,
            "expanded": gzip.compress(b"[" + b" " * 50_000_000 + b"]"),
        }
        found |= {f"{path}: {name}": post(path, body, headers) for name, body in bodies.items()}
        zipped = headers.replace("snappy", "gzip") if "snappy" in headers else headers + "Content-Encoding: gzip\r\n"
        found[f"{path}: expanded, named"] = post(path, bodies["expanded"], zipped)
        found[f"{path}: a claimed length"] = post(path, b"", headers).replace(b"Length: 0", b"Length: 99999999999999")
    lines = "".join(f"x-{number}: y\r\n" for number in range(20_000))
    found["a flood of headers"] = f"GET /metrics HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()
    found["a long header"] = f"GET /metrics HTTP/1.1\r\nHost: a\r\nx: {'y' * 1_000_000}\r\n\r\n".encode()
    found["a long line"] = f"GET /{'y' * 1_000_000} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    found["a flood of parameters"] = get("/api/v1/alerts?" + "&".join(f"a{number}=b" for number in range(1000)))
    return found


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = _field(1, content)
    return content


def mutated(source: bytes, choose: random.Random) -> bytes:
    """Return the request with one to eight changes."""
    data = bytearray(source)
    for _ in range(choose.randint(1, 8)):
        at = choose.randrange(len(data) or 1)
        match choose.randrange(5):
            case 0:
                data[at : at + 1] = bytes([choose.randrange(256)])
            case 1:
                data[at:at] = choose.choice(_INTERESTING)
            case 2:
                del data[at : at + choose.randint(1, 20)]
            case 3:
                data[at:at] = data[at : at + choose.randint(1, 50)]
            case _:
                data[at : at + 1] = bytes([data[at] ^ 1 << choose.randrange(8)]) if data else b""
    return bytes(data)


def ask(port: int, request: bytes, seconds: float = _SECONDS) -> str:
    """Send a request; return the status, or what happened instead. Leave if the server waits for the rest."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as client:
        with contextlib.suppress(OSError):  # refused before it was complete; the answer says why
            client.sendall(request)
        try:
            client.settimeout(seconds)
            while part := client.recv(65536):
                answer += part
        except TimeoutError:
            if not answer:
                return "left"
        except OSError:
            if not answer:
                return "reset"
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return found[1].decode() if found else "no answer"


def resident_kilobytes(process: int) -> int:
    """Return the resident memory of a process."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0])


class Fuzz:
    """A running service, and what it answered."""

    def __init__(self, target: Target, port: int, process: int) -> None:
        self._target = target
        self._port = port
        self._process = process
        self.answers = Counter[str]()
        self.memory: list[int] = []
        self.slowest = 0.0

    def run(self, requests: int, seed: int) -> None:
        """Send everything."""
        sources, choose = self._target.seeds(), random.Random(seed)
        print(f"valid requests: {' '.join(ask(self._port, request) for request in sources)}")
        for name, request in hostile(self._target).items():
            answer = ask(self._port, request)
            self.answers[answer] += 1
            self._is_healthy()
            print(f"{answer}  {name}, {len(request)} bytes; /health {self.slowest:.2f} s at most")
        with ThreadPoolExecutor(_CLIENTS) as clients:
            for _ in range(0, requests, _CHECK_EVERY):
                sent = [mutated(choose.choice(sources), choose) for _ in range(min(requests, _CHECK_EVERY))]
                self.answers.update(
                    clients.map(lambda request: ask(self._port, request, _PATIENCE_SECONDS), sent, chunksize=1)
                )
                self._is_healthy()
                self.memory.append(resident_kilobytes(self._process))

    def _is_healthy(self) -> None:
        began = time.monotonic()
        assert ask(self._port, get("/-/healthy")) == "200", "/-/healthy does not answer"
        self.slowest = max(self.slowest, time.monotonic() - began)

    def verdict(self, log: str) -> bool:
        """Print the result, and return whether all promises are kept."""
        memory, growth = self.memory, 0
        if memory:
            growth = memory[-1] - memory[len(memory) // 2]
            tenths = [memory[min(len(memory) - 1, len(memory) * tenth // 10)] // 1000 for tenth in range(11)]
            print(f"memory after each tenth of the requests, in MB: {' '.join(map(str, tenths))}")
        broken = [status for status in self.answers if status[0] == "5" and status not in _DOCUMENTED]
        print(f"answers: {dict(self.answers.most_common())}; slowest /-/healthy {self.slowest:.2f} s")
        print(f"tracebacks: {log.count('Traceback')}; log lines: {log.count(chr(10))}")
        if "Traceback" in log:
            print(log[log.index("Traceback") :][:3000])
        return not broken and "Traceback" not in log and growth < _GROWTH_KB


def fuzz(service: str, requests: int, seed: int) -> int:
    """Run; return 1 if a promise was broken."""
    target, port = TARGETS[service], free_port()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user if this one is root
    with Processes(folder / "logs") as processes, (folder / "log").open("w+", encoding="utf-8") as log:
        command = [sys.executable, "-m", "jelmon", *target.command(processes, folder)]
        service_process = subprocess.Popen([*command, "--web.listen-address", f"127.0.0.1:{port}"], stderr=log)
        try:
            _wait(port)
            run = Fuzz(target, port, service_process.pid)
            run.run(requests, seed)
            alive = service_process.poll() is None
        finally:
            service_process.terminate()
            code = service_process.wait(30)
        log.seek(0)
        kept = run.verdict(log.read())
    shutil.rmtree(folder, ignore_errors=True)
    print(f"alive: {alive}; exit code on SIGTERM: {code}")
    return int(not (kept and alive and code == 0))


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if ask(port, get("/-/ready")) == "200":
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the service does not start")


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", choices=sorted(TARGETS), default="exporter")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    return fuzz(arguments.service, arguments.requests, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
