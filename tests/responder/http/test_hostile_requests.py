"""Whatever reaches the webhook: a documented status, no traceback, and a service that still answers.

``JELMON_EXAMPLES`` sets the number of examples of each test.
"""

import http.client
import json
import os
import subprocess
import sys
import time as clock
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jelmon.bundle.maintenance import Maintenance
from jelmon.bundle.recurrence import Recurrence
from jelmon.bundle.rules_file import encode
from jelmon.demo.processes import free_port, listens

WEBHOOK = "/api/v1/alerts/webhook"
DOCUMENTED = {200, 400, 403, 404, 405, 408, 413, 415, 417, 431, 503}
EXAMPLES = int(os.environ.get("JELMON_EXAMPLES", "40"))
property_test = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Target:
    """A responder as a process: in this one its random pauses would disturb hypothesis."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port = port
        self.process = process
        self.log = log

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        """Return the status of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} | (headers or {}))
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def is_sound(self) -> None:
        """Assert that all pages can still be read, and that nothing raised meanwhile."""
        assert [self.ask("GET", path) for path in ("/api/v1/alerts", "/alerts", "/metrics", "/-/ready")] == [200] * 4
        assert self.process.poll() is None
        assert "Traceback" not in self.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def target(history_url: str, tmp_path: Path) -> Iterator[Target]:
    """A responder with mail (to nobody) and maintenance windows, once for each database."""
    daily = Maintenance(
        name="daily",
        matchers=(("pipeline", "p"),),
        first=date(2001, 1, 1),
        at=time(3),
        zone=ZoneInfo("Europe/Berlin"),
        duration_seconds=3600.0,
        recurrence=Recurrence.parse("FREQ=DAILY"),
    )
    (tmp_path / "rules.json").write_text(encode(1, [daily]))
    port, log = free_port(), tmp_path / "responder.log"
    command = [sys.executable, "-m", "jelmon", "responder", "--web.listen-address", f"127.0.0.1:{port}"]
    command += ["--history.url", history_url, "--rules.file", str(tmp_path / "rules.json")]
    command += ["--email.server", "127.0.0.1:9", "--email.from", "a@example.org", "--email.to", "b@example.org"]
    with log.open("wb") as file, subprocess.Popen(command, stderr=file) as process:
        try:
            deadline = clock.monotonic() + 60
            while not listens(port):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert clock.monotonic() < deadline, "the responder does not listen"
                clock.sleep(0.05)
            yield Target(port, process, log)
        finally:
            process.terminate()
            assert process.wait(60) == 0


any_text = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too: JSON can write them
moments = (
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: moment.isoformat() + "Z")
    | st.sampled_from(
        [
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59.999999999-12:00",
            "2026-01-31T12:00:00",
            "2026-01-31T24:00:00Z",
            "2026-02-30T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "",
        ]
    )
    | st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.isoformat() + "+02:00")
)
labels = st.dictionaries(
    st.sampled_from(["alertname", "severity", "pipeline", "stage", "escalation_level", "drill"]) | any_text,
    st.sampled_from(["critical", "warning", "p", "true", "2", "99999999", "٣"]) | any_text,
    max_size=6,
)
annotations = st.dictionaries(
    st.sampled_from(["summary", "description", "runbook_url", "auto_actions"]) | any_text,
    st.sampled_from(["scale_up", "scale_up,restart_pipeline,,", "a\r\nBcc: x@y"]) | any_text,
    max_size=5,
)
alerts = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["firing", "resolved"]),
        "fingerprint": st.sampled_from(["a", "b", "c"]) | any_text.filter(bool),
        "startsAt": moments,
        "labels": labels,
    },
    optional={"endsAt": moments, "annotations": annotations, "generatorURL": any_text},
)
payloads = st.fixed_dictionaries(
    {"version": st.just("4"), "alerts": st.lists(alerts, max_size=6)},
    optional={"receiver": any_text, "truncatedAlerts": st.integers(-(2**70), 2**70), "status": any_text},
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@property_test
@given(payloads)
def test_every_webhook_is_stored_or_refused(target: Target, payload: dict[str, Any]) -> None:
    """Names, times and texts of any kind; what is stored can be read."""
    assert target.ask("POST", WEBHOOK, json.dumps(payload).encode()) in (200, 400)
    target.is_sound()


@property_test
@given(payloads, st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), min_size=1, max_size=4))
def test_a_damaged_webhook_is_stored_or_refused(
    target: Target, payload: dict[str, Any], damages: list[tuple[int, bytes]]
) -> None:
    """Bytes replaced, added and left out, such that it often is no UTF-8 either."""
    body = bytearray(json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for place, new in damages:
        place %= len(body)
        body[place : place + len(new)] = new
    assert target.ask("POST", WEBHOOK, bytes(body)) in (200, 400)
    target.is_sound()


@property_test
@given(anything)
def test_any_json_is_refused(target: Target, body: Any) -> None:
    """It is not a webhook."""
    assert target.ask("POST", WEBHOOK, json.dumps(body).encode()) == 400
    target.is_sound()


header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@property_test
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "Content-Type",
                "Content-Encoding",
                "Origin",
                "Sec-Fetch-Site",
                "Authorization",
                "Accept",
                "Accept-Encoding",
                "Expect",
                "Cookie",
                "If-Modified-Since",
                "Range",
                "X-Forwarded-For",
            ]
        ),
        header_values
        | st.sampled_from(["gzip", "deflate", "br", "application/json", "application/json; charset=\xff", "null"]),
        max_size=4,
    ),
    st.sampled_from([WEBHOOK, "/api/v1/alerts", "/alerts", "/metrics", "/health", "/api/v1/email/refused", "/"]),
    st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
)
def test_any_header_has_a_documented_answer(target: Target, headers: dict[str, str], path: str, method: str) -> None:
    """Encodings that are no such encodings, content types that are none, and the like."""
    assert target.ask(method, path, b'{"version":"4","alerts":[]}', headers) in DOCUMENTED
    target.is_sound()


@property_test
@given(st.dictionaries(st.sampled_from(["alertname", "pipeline", "status", "since", "limit"]) | any_text, any_text))
def test_any_query_has_a_documented_answer(target: Target, query: dict[str, str]) -> None:
    """Filters of any text, and parameters that do not exist."""
    text = urlencode(query, errors="surrogatepass")
    assert target.ask("GET", f"/api/v1/alerts?{text}") in (200, 400)
    assert target.ask("GET", f"/alerts?{text}") in (200, 400)
    target.is_sound()
