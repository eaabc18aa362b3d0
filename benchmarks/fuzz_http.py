"""Byte-mutated HTTP requests against a running exporter: no 5xx but a documented 503, no traceback, flat memory.

Usage: python benchmarks/fuzz_http.py [--requests 20000] [--seed 1]

It starts an exporter without NATS, sends valid requests with random bytes changed, inserted, removed or repeated, and
asks for the health of the exporter every 1000 requests.
"""

import argparse
import gzip
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jelmon.demo.processes import free_port

_EVENT = {
    "specversion": "1.0",
    "type": "jelmore.card.started",
    "id": "e1",
    "source": "/fuzz",
    "subject": "card-1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"pipeline": "main"},
}
_SECONDS = 10.0
_PATIENCE_SECONDS = 0.5
_CLIENTS = 16
_CHECK_EVERY = 1000
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


def seeds() -> list[bytes]:
    """Return valid requests of every kind."""
    one, batch = json.dumps(_EVENT).encode(), json.dumps([_EVENT] * 3).encode()
    binary = "".join(f"ce-{name}: {value}\r\n" for name, value in _EVENT.items() if name != "data")
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (one[:50], one[50:])) + b"0\r\n\r\n"
    head = "POST /api/v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

    def post(body: bytes, kind: str, more: str = "") -> bytes:
        return f"{head}Content-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body

    return [
        post(one, "application/cloudevents+json"),
        post(batch, "application/cloudevents-batch+json"),
        post(json.dumps(_EVENT["data"]).encode(), "application/json", binary),
        post(gzip.compress(batch), "application/json", "Content-Encoding: gzip\r\n"),
        f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunked,
        *(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/plain;q=0.5,*/*\r\nAccept-Encoding: gzip\r\n"
            "Authorization: Basic YTpi\r\nConnection: close\r\n\r\n".encode()
            for path in ("/metrics", "/health", "/-/ready", "/", "/no?a=%ff")
        ),
    ]


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
        try:
            client.sendall(request)
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


def fuzz(requests: int, seed: int) -> int:
    """Run; return 1 if a promise was broken."""
    port, choose, answers, memory = free_port(), random.Random(seed), Counter[str](), list[int]()
    command = [sys.executable, "-m", "jelmon", "exporter", "--nats.url", "none", "--web.listen-address", str(port)]
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w+", encoding="utf-8") as log:
        exporter = subprocess.Popen(command, stderr=log)
        try:
            _wait(port)
            sources = seeds()
            valid = [ask(port, request) for request in sources]
            print(f"valid requests: {' '.join(valid)}")
            with ThreadPoolExecutor(_CLIENTS) as clients:
                for _ in range(0, requests, _CHECK_EVERY):
                    sent = [mutated(choose.choice(sources), choose) for _ in range(min(requests, _CHECK_EVERY))]
                    answers.update(clients.map(lambda request: ask(port, request, _PATIENCE_SECONDS), sent))
                    assert ask(port, sources[-4]) == "200", "/health does not answer"
                    memory.append(resident_kilobytes(exporter.pid))
            alive = exporter.poll() is None
        finally:
            exporter.terminate()
            exporter.wait(20)
        log.seek(0)
        text = log.read()
    growth = memory[-1] - memory[len(memory) // 2] if memory else 0
    broken = {status: count for status, count in answers.items() if status.startswith("5") and status != "503"}
    print(f"answers: {dict(answers.most_common())}")
    tenths = [memory[min(len(memory) - 1, len(memory) * tenth // 10)] // 1000 for tenth in range(11)] if memory else []
    print(f"memory after each tenth of them, in MB: {' '.join(map(str, tenths))}")
    print(f"tracebacks: {text.count('Traceback')}; log lines: {text.count(chr(10))}; alive: {alive}")
    return int(bool(broken) or "Traceback" in text or not alive or growth > 5_000)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if ask(port, b"GET /-/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == "200":
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the exporter does not start")


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    return fuzz(arguments.requests, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
