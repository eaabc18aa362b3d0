"""The responder and a real Alertmanager: what it sends is stored, and ends that it never sends are inferred."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jelmon.config.settings import ListenAddress
from jelmon.errors import SourceError
from jelmon_responder.alertmanager import Alertmanager
from jelmon_responder.app import Responder
from jelmon_responder.settings import ResponderSettings

Start = Callable[[ResponderSettings], Awaitable[Responder]]
LABELS = {"alertname": "PipelineStalled", "severity": "critical", "pipeline": "review"}
DEADLINE_SECONDS = 20.0


@pytest.fixture
def settings(history_url: str, alertmanager: str, responder_port: int) -> ResponderSettings:
    """Settings of the responder that the Alertmanager calls; it polls only when a test says so."""
    return ResponderSettings(
        history_url=history_url,
        listen=ListenAddress("127.0.0.1", responder_port),
        alertmanager_urls=(alertmanager,),
        poll_seconds=3600,
        settle_seconds=0,
    )


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What the condition gives as soon as it is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (result := await condition()):
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.05)
    return result


class Person:
    """Sends alerts and silences to Alertmanager and queries the responder."""

    def __init__(self, http: aiohttp.ClientSession, alertmanager: str, responder: Responder) -> None:
        self._http = http
        self._alertmanager = alertmanager
        self._responder = responder
        self._started: dict[str, datetime] = {}

    async def fire(self, *, ends: datetime | None = None, **labels: str) -> None:
        """Send the alert as Prometheus does; with an end in the past it is resolved."""
        ends = ends or datetime.now(UTC) + timedelta(minutes=4)
        starts = self._started.setdefault(str(labels), datetime.now(UTC))
        alert = {
            "labels": LABELS | labels,
            "annotations": {"summary": "s"},
            "startsAt": starts.isoformat(),
            "endsAt": ends.isoformat(),
        }
        async with self._http.post(f"{self._alertmanager}/api/v2/alerts", json=[alert]) as response:
            assert response.status == 200

    async def silence(self, *, hours: float = 1) -> datetime:
        """Silence the alert; gives the end."""
        now = datetime.now(UTC)
        ends = now + timedelta(hours=hours)
        body = {
            "matchers": [{"name": "alertname", "value": "PipelineStalled", "isRegex": False}],
            "startsAt": now.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": "test",
            "comment": "test",
        }
        async with self._http.post(f"{self._alertmanager}/api/v2/silences", json=body) as response:
            assert response.status == 200
        return ends

    async def silence_ends(self) -> dict[str, float]:
        """What the responder shows of silences, by alert."""
        async with self._http.get(f"{self._responder.server.url}/metrics") as response:
            text = await response.text()
        return {
            sample.labels["alert"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "jelmore_silence_end_timestamp_seconds"
        }

    async def rows(self, query: str = "") -> list[dict[str, Any]]:
        async with self._http.get(f"{self._responder.server.url}/api/v1/alerts?{query}") as response:
            assert response.status == 200
            return list((await response.json())["alerts"])


async def test_an_alert_from_start_to_end(
    settings: ResponderSettings, alertmanager: str, start: Start, http: aiohttp.ClientSession
) -> None:
    """Repeats of a real Alertmanager stay one row, and its end closes it."""
    person = Person(http, alertmanager, await start(settings))
    await person.fire()
    await until(lambda: person.rows("status=firing"))

    async def repeated() -> bool:
        return int((await person.rows())[0]["notifications"]) >= 2

    await until(repeated)
    await person.fire(ends=datetime.now(UTC))
    (row,) = await until(lambda: person.rows("status=resolved"))

    assert (row["alertname"], row["closed_by"], row["receiver"]) == ("PipelineStalled", "resolved", "responder")
    assert 0 <= row["duration_seconds"] < DEADLINE_SECONDS * 2
    assert len(await person.rows()) == 1


async def test_the_end_of_the_last_silence_of_a_firing_alert_is_shown(
    settings: ResponderSettings, alertmanager: str, start: Start, http: aiohttp.ClientSession
) -> None:
    """Alerts that nobody silenced, silences without an alert, and alerts that are over have none."""
    responder = await start(settings)
    person = Person(http, alertmanager, responder)
    await person.silence()
    await responder.reconcile()
    assert await person.silence_ends() == {}

    await person.fire()
    await person.fire(alertname="Other")

    async def shown_until(end: datetime) -> bool:
        await responder.reconcile()
        found = await person.silence_ends()
        return found.keys() == {"PipelineStalled"} and abs(found["PipelineStalled"] - end.timestamp()) < 1

    last = await person.silence(hours=2)
    await until(lambda: shown_until(last))
    await person.fire(ends=datetime.now(UTC))

    async def gone() -> bool:
        await responder.reconcile()
        return await person.silence_ends() == {}

    await until(gone)


async def test_an_alert_that_ends_while_silenced_is_closed(
    settings: ResponderSettings, alertmanager: str, start: Start, http: aiohttp.ClientSession
) -> None:
    """Alertmanager never reports such an end; polling it closes that row and no other."""
    responder = await start(settings)
    person = Person(http, alertmanager, responder)
    await person.fire()
    await person.fire(alertname="Other")
    await until(lambda: _both(person))
    await person.silence()
    await responder.reconcile()
    assert len(await person.rows("status=firing")) == 2, "silenced is not over"

    await person.fire(ends=datetime.now(UTC))
    async with Alertmanager([alertmanager]) as client:

        async def gone() -> bool:
            return len(await client.active()) == 1

        await until(gone)
    await responder.reconcile()

    rows = {row["alertname"]: (row["status"], row["closed_by"]) for row in await person.rows()}
    assert rows == {"PipelineStalled": ("resolved", "reconciled"), "Other": ("firing", None)}


async def _both(person: Person) -> bool:
    return len(await person.rows("status=firing")) == 2


async def test_nothing_is_closed_just_after_an_alertmanager_start(
    settings: ResponderSettings, alertmanager: str, start: Start, http: aiohttp.ClientSession
) -> None:
    """One that has just started knows no alerts, which does not mean that none fires."""
    responder = await start(replace(settings, settle_seconds=3600))
    person = Person(http, alertmanager, responder)
    await person.fire()
    await until(lambda: person.rows("status=firing"))
    await person.silence()
    await person.fire(ends=datetime.now(UTC))
    async with Alertmanager([alertmanager]) as client:

        async def gone() -> bool:
            return not await client.active()

        await until(gone)
    await responder.reconcile()

    assert len(await person.rows("status=firing")) == 1


async def test_a_test_alert_reports_each_step(
    settings: ResponderSettings, start: Start, http: aiohttp.ClientSession
) -> None:
    """A test alert goes the whole way, is marked as a drill, and ends."""
    responder = await start(settings)
    async with http.post(f"{responder.server.url}/api/v1/alerts/test?timeout=20s") as response:
        report = await response.json()

    assert (response.status, report["ok"]) == (200, True), report
    assert [step["step"] for step in report["steps"]] == [
        "Alertmanager accepts the alert",
        "Alertmanager calls the webhook and the alert is in the history",
        "Alertmanager accepts the end of the alert",
    ]
    async with http.get(f"{responder.server.url}/api/v1/alerts?alertname=JelmonDrill") as response:
        (row,) = (await response.json())["alerts"]
    assert row["labels"] | {"drill": "true", "drill_id": report["drill_id"], "severity": "info"} == row["labels"]


async def test_a_test_alert_reports_the_step_that_failed(
    history_url: str, alertmanager: str, start: Start, http: aiohttp.ClientSession
) -> None:
    """The report distinguishes an Alertmanager with another receiver from one that does not respond."""
    elsewhere = await start(ResponderSettings(history_url=history_url, alertmanager_urls=(alertmanager,)))
    async with http.post(f"{elsewhere.server.url}/api/v1/alerts/test?timeout=500ms") as response:
        report = await response.json()
    assert (response.status, [step["ok"] for step in report["steps"]]) == (504, [True, False, True])
    assert "is there a route from alerts with drill=true" in report["steps"][1]["detail"]

    nobody = await start(ResponderSettings(history_url=history_url, alertmanager_urls=("http://127.0.0.1:9",)))
    async with http.post(f"{nobody.server.url}/api/v1/alerts/test") as response:
        report = await response.json()
    assert (response.status, [step["ok"] for step in report["steps"]]) == (504, [False])
    assert "does not respond" in report["steps"][0]["detail"]


async def test_alertmanager_retries_until_the_database_is_back(
    postgres_dsn: str, alertmanager: str, responder_port: int, start: Start, http: aiohttp.ClientSession
) -> None:
    """An alert that comes while PostgreSQL is away is in the history afterwards."""
    server, name = postgres_dsn.rsplit("/", 1)
    listen = ListenAddress("127.0.0.1", responder_port)
    responder = await start(ResponderSettings(history_url=postgres_dsn, listen=listen))
    person = Person(http, alertmanager, responder)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        await person.fire()

        async def refused() -> bool:
            async with http.get(f"{responder.server.url}/metrics") as response:
                return 'jelmore_webhooks_total{outcome="failed"} 0.0' not in await response.text()

        await until(refused)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def kept() -> bool:
        async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
            return response.status == 200 and len((await response.json())["alerts"]) == 1

    await until(kept)


async def test_a_database_that_comes_late(postgres_dsn: str, start: Start, http: aiohttp.ClientSession) -> None:
    """The responder may start before its database, and serves as soon as that is there."""
    server, name = postgres_dsn.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        responder = await start(ResponderSettings(history_url=postgres_dsn))
        async with http.get(f"{responder.server.url}/-/ready") as response:
            assert response.status == 503
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
        assert (response.status, await response.json()) == (200, {"alerts": []})
    async with http.get(f"{responder.server.url}/-/ready") as response:
        assert response.status == 200


async def test_another_service_at_the_alertmanager_url_is_reported(tmp_path: Path, start: Start) -> None:
    """The address of another service gives a message, not a traceback."""
    other = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db"))
    async with Alertmanager([other.server.url]) as client:
        with pytest.raises(SourceError, match="responded with status 404"):
            await client.active()
