"""The running responder over HTTP, with each database."""

import asyncio
import gzip
import io
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jelmon.catalogue import Service, of_service
from jelmon.errors import ConfigError
from jelmon_responder.app import Responder
from jelmon_responder.http.webhook import MAX_PAYLOAD_BYTES
from jelmon_responder.settings import ResponderSettings

WEBHOOK = "/api/v1/alerts/webhook"
Start = Callable[[ResponderSettings], Awaitable[Responder]]
Wire = Callable[..., dict[str, Any]]
Payload = Callable[..., bytes]
Sample = tuple[str, tuple[tuple[str, str], ...]]


async def samples(http: aiohttp.ClientSession, responder: Responder) -> dict[Sample, float]:
    """Return the samples of /metrics."""
    async with http.get(f"{responder.server.url}/metrics") as response:
        text = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_from_webhook_to_history(
    history_url: str,
    start: Start,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
    payload: Payload,
    wire: Wire,
) -> None:
    """An alert that fires, repeats and ends is one row, three counts and two log lines."""
    caplog.set_level(logging.DEBUG, logger="jelmon_responder.alerts")
    responder = await start(ResponderSettings(history_url=history_url))
    for call in (payload(wire()), payload(wire()), payload(wire(status="resolved"))):
        async with http.post(f"{responder.server.url}{WEBHOOK}", data=call) as response:
            assert (response.status, await response.json()) == (200, {"accepted": 1})

    async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
        (row,) = (await response.json())["alerts"]
    expected = {
        "alertname": "PipelineStalled",
        "status": "resolved",
        "severity": "critical",
        "pipeline": "review",
        "stage": "build",
        "starts_at": "2026-01-31T12:00:00.000Z",
        "ends_at": "2026-01-31T12:10:00.000Z",
        "duration_seconds": 600.0,
        "closed_by": "resolved",
        "escalation_level": 0,
        "receiver": "responder",
        "notifications": 3,
        "fingerprint": "b2f4c0a1d3e5f607",
        "labels": wire()["labels"],
        "annotations": wire()["annotations"],
    }
    assert expected == {name: value for name, value in row.items() if name not in ("first_seen", "last_seen")}
    seen = await samples(http, responder)
    assert {
        ("jelmore_webhooks_total", (("outcome", "accepted"),)): 3.0,
        ("jelmore_alerts_received_total", (("severity", "critical"), ("status", "firing"))): 1.0,
        ("jelmore_alerts_received_total", (("severity", "critical"), ("status", "resolved"))): 1.0,
        ("jelmore_alert_duration_seconds_sum", (("severity", "critical"),)): 600.0,
        ("jelmore_alert_duration_seconds_count", (("severity", "critical"),)): 1.0,
        ("jelmore_alerts_firing", (("severity", "critical"),)): 0.0,
        ("jelmore_history_up", ()): 1.0,
    }.items() <= seen.items()
    lines = [record for record in caplog.records if record.name == "jelmon_responder.alerts"]
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("ERROR", "alert firing"),
        ("INFO", "alert resolved"),
    ]
    assert (vars(lines[1])["alertname"], vars(lines[1])["duration_seconds"]) == ("PipelineStalled", 600.0)


async def test_the_watchdog_is_kept_and_quiet(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
    payload: Payload,
    wire: Wire,
) -> None:
    """An alert that always fires logs nothing above DEBUG, however often it repeats."""
    caplog.set_level(logging.INFO)
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    caplog.clear()
    for _ in range(5):
        watchdog = wire(labels={"alertname": "Watchdog", "severity": "none"})
        async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(watchdog)) as response:
            assert response.status == 200

    async with http.get(f"{responder.server.url}/api/v1/alerts?alertname=Watchdog") as response:
        (row,) = (await response.json())["alerts"]
    assert row["notifications"] == 5
    assert caplog.records == []


async def test_exactly_the_catalogue_is_exposed(tmp_path: Path, start: Start, http: aiohttp.ClientSession) -> None:
    """Names, types, help and buckets of a scrape are those of the catalogue, in both formats."""
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    async with http.get(f"{responder.server.url}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        families = list(text_string_to_metric_families(await response.text()))
    async with http.get(
        f"{responder.server.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    ) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await response.text()).endswith("# EOF\n")

    expected = {
        (metric.name.removesuffix("_total"), metric.kind, metric.help) for metric in of_service(Service.RESPONDER)
    }
    assert expected == {(family.name, family.type, family.documentation) for family in families}


async def test_hostile_requests_are_rejected_and_change_nothing(
    history_url: str, start: Start, http: aiohttp.ClientSession, payload: Payload, wire: Wire
) -> None:
    """Each response is a 4xx with a reason, and the service keeps working."""
    responder = await start(ResponderSettings(history_url=history_url))
    bomb = gzip.compress(b" " * (MAX_PAYLOAD_BYTES + 1))
    calls: list[tuple[bytes, dict[str, str], int]] = [
        (b"", {}, 400),
        (b"[" * 1_000_000, {}, 400),
        (b'{"version":"4","alerts":[' + b'{"a":' * 200_000, {}, 400),
        (b" " * (MAX_PAYLOAD_BYTES + 1), {}, 413),
        (bomb, {"Content-Encoding": "gzip"}, 413),
        (b"not gzip", {"Content-Encoding": "gzip"}, 400),
    ]
    for data, headers, status in calls:
        async with http.post(f"{responder.server.url}{WEBHOOK}", data=io.BytesIO(data), headers=headers) as response:
            assert response.status == status, data[:40]
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(wire())) as response:
        assert response.status == 200

    async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
        assert len((await response.json())["alerts"]) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content-Type": "text/plain"}, 415, id="text, which any page may send"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, id="a form"),
        pytest.param({"Content-Type": ""}, 415, id="no content type"),
        pytest.param({"Origin": "https://elsewhere.example"}, 403, id="another origin"),
        pytest.param({"Origin": "null"}, 403, id="a page without an origin"),
        pytest.param({"Origin": "http://[::1"}, 403, id="an origin that is no address"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="another host of this site"),
        pytest.param({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200, id="its own page"),
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, 200, id="JSON with a charset"),
    ],
)
async def test_another_site_cannot_send_alerts(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    headers: dict[str, str],
    status: int,
) -> None:
    """A browser on the same machine or network reaches the webhook, and the page in it may come from anybody."""
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    headers = {name: value.replace("{own}", responder.server.url) for name, value in headers.items()}
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(wire()), headers=headers) as response:
        assert response.status == status, await response.text()
    async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
        assert len((await response.json())["alerts"]) == (status == 200)


async def test_a_webhook_of_ten_thousand_alerts(
    history_url: str, start: Start, http: aiohttp.ClientSession, payload: Payload, wire: Wire
) -> None:
    """All alerts of one large webhook call are accepted."""
    responder = await start(ResponderSettings(history_url=history_url))
    storm = payload(*(wire(fingerprint=f"{number:016x}") for number in range(10_000)))
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=io.BytesIO(storm)) as response:
        assert (response.status, await response.json()) == (200, {"accepted": 10_000})

    seen = await samples(http, responder)
    assert seen["jelmore_alerts_firing", (("severity", "critical"),)] == 10_000


@pytest.mark.parametrize(
    ("query", "message"),
    [
        pytest.param("limit=0", "limit", id="no rows"),
        pytest.param("limit=1001", "limit", id="too many rows"),
        pytest.param("limit=²", "limit", id="a number of another kind"),
        pytest.param("status=burning", "status", id="an unknown status"),
        pytest.param("since=yesterday", "since", id="a word for a time"),
        pytest.param("since=99999999999999d", "since", id="before the calendar"),
        pytest.param("severity=critical", "unknown parameter", id="an unknown filter"),
    ],
)
async def test_an_invalid_query_is_a_400(
    tmp_path: Path, start: Start, http: aiohttp.ClientSession, query: str, message: str
) -> None:
    """The API answers with JSON and the page with HTML; both say what is wrong."""
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    async with http.get(f"{responder.server.url}/api/v1/alerts?{query}") as response:
        assert (response.status, message in (await response.json())["error"]) == (400, True)
    async with http.get(f"{responder.server.url}/alerts?{query}") as response:
        assert (response.status, message in await response.text()) == (400, True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("since=2026-01-31T12:05:00Z", 1),
        ("since=2026-01-31T13:05:00%2B01:00", 1),
        ("since=2026-01-31T13:05:00+01:00", 1),
        ("since=2026-01-31T12:15:00", 0),
        ("since=1h", 0),
        ("alertname=PipelineStalled&status=resolved&limit=5", 1),
        ("alertname=%00", 0),
    ],
)
async def test_filters(
    history_url: str, start: Start, http: aiohttp.ClientSession, query: str, expected: int, payload: Payload, wire: Wire
) -> None:
    """Filters in the URL reach the database."""
    responder = await start(ResponderSettings(history_url=history_url))
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(wire(status="resolved"))):
        pass
    async with http.get(f"{responder.server.url}/api/v1/alerts?{query}") as response:
        assert len((await response.json())["alerts"]) == expected


async def test_the_page_escapes_text_of_alerts(
    tmp_path: Path, start: Start, http: aiohttp.ClientSession, payload: Payload, wire: Wire
) -> None:
    """No text of an alert becomes markup, and the page loads nothing from elsewhere."""
    evil = "<script>alert(1)</script>\"'&"
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    alert = wire(
        labels={"alertname": evil, "severity": evil, "pipeline": evil, "stage": evil}, annotations={"summary": evil}
    )
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(alert, receiver=evil)):
        pass
    async with http.get(f"{responder.server.url}/alerts") as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]

    assert ("<script" in page, page.count("&lt;script&gt;")) == (False, 4)
    assert "default-src 'none'" in policy
    async with http.get(f"{responder.server.url}/") as response:
        assert '<a href="/alerts">' in await response.text()


async def test_an_unavailable_database_is_a_503(
    tmp_path: Path, start: Start, http: aiohttp.ClientSession, payload: Payload, wire: Wire
) -> None:
    """The webhook gets 503 and readiness fails while the database is unavailable; both recover without a restart."""
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    with sqlite3.connect(tmp_path / "h.db") as file:
        file.execute("ALTER TABLE alert_history RENAME TO gone")
        file.commit()
        async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(wire())) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        async with http.get(f"{responder.server.url}/-/ready") as response:
            assert (response.status, await response.text()) == (503, "not ready: history\n")
        async with http.get(f"{responder.server.url}/alerts") as response:
            assert response.status == 503
        assert (await samples(http, responder))["jelmore_history_up", ()] == 0
        file.execute("ALTER TABLE gone RENAME TO alert_history")
    file.close()
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(wire())) as response:
        assert response.status == 200
    async with http.get(f"{responder.server.url}/-/ready") as response:
        assert response.status == 200

    seen = await samples(http, responder)
    assert seen["jelmore_webhooks_total", (("outcome", "failed"),)] == 1
    assert seen["jelmore_history_up", ()] == 1


async def test_a_test_alert_needs_alertmanager(tmp_path: Path, start: Start, http: aiohttp.ClientSession) -> None:
    """Without an address the answer says which flag is missing; wrong parameters say what is wrong."""
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    answers = {}
    for query in ("", "?timeout=never", "?timeout=11m", "?severity=dire", "?x=1"):
        async with http.post(f"{responder.server.url}/api/v1/alerts/test{query}") as response:
            answers[query] = (response.status, (await response.json())["error"].split(":")[0])
    async with http.post(
        f"{responder.server.url}/api/v1/alerts/test", headers={"Sec-Fetch-Site": "cross-site"}
    ) as response:
        answers["another site"] = (response.status, (await response.json())["error"])

    assert answers == {
        "": (501, "no Alertmanager to send the test alert to"),
        "?timeout=never": (400, "timeout"),
        "?timeout=11m": (400, "timeout must be more than 0 and at most 600s"),
        "?severity=dire": (400, "unknown severity 'dire'"),
        "?x=1": (400, "unknown parameter 'x'"),
        "another site": (403, "this request cannot be sent from another site's pages"),
    }


async def test_a_port_in_use_is_reported_and_nothing_stays_open(tmp_path: Path, start: Start) -> None:
    """The second responder on a port raises an error and leaves no task behind."""
    first = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    assert first.server.address is not None
    with pytest.raises(ConfigError, match="cannot listen"):
        await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h2.db", listen=first.server.address))

    assert [task for task in asyncio.all_tasks() if "every" in repr(task)] == list(first.background)


async def test_the_json_of_the_history_is_plain(
    tmp_path: Path, start: Start, http: aiohttp.ClientSession, payload: Payload, wire: Wire
) -> None:
    """Every JSON parser can read the history, whatever the labels contain."""
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    labels = {"alertname": "a\u2028b\U0001f9ef\x7f", "x": "\\ud800"}
    async with http.post(f"{responder.server.url}{WEBHOOK}", data=payload(wire(labels=labels))) as response:
        assert response.status == 200
    async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
        (row,) = json.loads(await response.read())["alerts"]

    assert row["labels"] == labels
