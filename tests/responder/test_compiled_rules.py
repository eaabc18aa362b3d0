"""The compiled rules in the responder: gauges that follow the file, durations without maintenance."""

import dataclasses
import logging
import time as clock
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jelmon.bundle.maintenance import Maintenance
from jelmon.bundle.recurrence import Recurrence
from jelmon.bundle.rules_file import encode
from jelmon.catalogue import Service
from jelmon.errors import ConfigError
from jelmon.service.registry import Instruments
from jelmon_responder.compiled_rules import CompiledRules
from jelmon_responder.settings import ResponderSettings

NAMES = ("jelmore_maintenance_start_timestamp_seconds", "jelmore_maintenance_end_timestamp_seconds")


def window(name: str, at: time, rrule: str | None = None, pipeline: str = "review") -> Maintenance:
    """An hour of maintenance of a pipeline on 2026-01-31."""
    return Maintenance(
        name=name,
        matchers=(("pipeline", pipeline),),
        first=date(2026, 1, 31),
        at=at,
        zone=ZoneInfo("UTC"),
        duration_seconds=3600.0,
        recurrence=Recurrence.parse(rrule) if rrule else None,
    )


def shown(instruments: Instruments) -> dict[tuple[str, str], float]:
    """Samples of interest, by name and window."""
    body = instruments.render()[0].decode()
    return {
        (sample.name, sample.labels.get("window", "")): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name in (*NAMES, "jelmore_rules_fingerprint")
    }


def test_open_and_upcoming_windows_are_exported(tmp_path: Path) -> None:
    """A past window disappears, a recurring one advances to its next occurrence, a changed file is reloaded."""
    path, instruments = tmp_path / "rules.json", Instruments(Service.RESPONDER)
    path.write_text(encode(7, [window("once", time(12)), window("daily", time(3), "FREQ=DAILY")]))
    rules = CompiledRules(path, instruments)

    rules.refresh(datetime(2026, 1, 31, 12, 30, tzinfo=UTC))
    noon, next_night = (datetime(2026, 1, 31, 12), datetime(2026, 2, 1, 3))
    starts = {one: one.replace(tzinfo=UTC).timestamp() for one in (noon, next_night)}
    assert shown(instruments) == {
        ("jelmore_rules_fingerprint", ""): 7,
        (NAMES[0], "once"): starts[noon],
        (NAMES[1], "once"): starts[noon] + 3600,
        (NAMES[0], "daily"): starts[next_night],
        (NAMES[1], "daily"): starts[next_night] + 3600,
    }
    rules.refresh(datetime(2026, 1, 31, 13, 0, tzinfo=UTC))
    assert {name for _, name in shown(instruments)} == {"", "daily"}

    path.write_text(encode(8, []))
    rules.refresh(datetime(2026, 1, 31, 13, 0, tzinfo=UTC))
    assert shown(instruments) == {("jelmore_rules_fingerprint", ""): 8}


def test_a_file_that_becomes_invalid_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The previous content stays in use and the error is logged once; a valid file is loaded again."""
    path, instruments = tmp_path / "rules.json", Instruments(Service.RESPONDER)
    path.write_text(encode(7, [window("daily", time(3), "FREQ=DAILY")]))
    rules = CompiledRules(path, instruments)
    now = datetime(2026, 1, 31, tzinfo=UTC)
    rules.refresh(now)
    before = shown(instruments)

    path.write_text("{")
    with caplog.at_level(logging.ERROR):
        rules.refresh(now)
        rules.refresh(now)
    assert (shown(instruments), rules.check.ok, rules.check.needed) == (before, False, False)
    assert [record.message for record in caplog.records] == ["cannot read the compiled rules"]
    path.unlink()
    rules.refresh(now)
    assert shown(instruments) == before

    path.write_text(encode(9, []))
    rules.refresh(now)
    assert rules.check.ok


def test_a_file_missing_at_start_is_an_error(tmp_path: Path) -> None:
    """A missing file is not ignored."""
    with pytest.raises(ConfigError, match=r"--rules\.file: cannot read .*: No such file"):
        CompiledRules(tmp_path / "rules.json", Instruments(Service.RESPONDER))


async def test_maintenance_is_excluded_from_the_time_to_restore(
    tmp_path: Path,
    start: Callable[[ResponderSettings], Any],
    http: aiohttp.ClientSession,
    payload: Callable[..., bytes],
    wire: Callable[..., dict[str, Any]],
) -> None:
    """Four of ten minutes are excluded; an alert within a window has no duration; other windows do not count."""
    path = tmp_path / "rules.json"
    path.write_text(encode(7, [window("noon", time(12, 6)), window("elsewhere", time(12), pipeline="other")]))
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", rules_file=path))
    inside = wire(
        status="resolved", starts="2026-01-31T12:07:00Z", ends="2026-01-31T12:08:00Z", fingerprint="b2f4c0a1d3e5f608"
    )
    async with http.post(
        f"{responder.server.url}/api/v1/alerts/webhook", data=payload(wire(status="resolved"), inside)
    ) as response:
        assert response.status == 200
    async with http.get(f"{responder.server.url}/metrics") as response:
        families = {one.name: one for one in text_string_to_metric_families(await response.text())}

    durations = {
        sample.name: sample.value
        for sample in families["jelmore_alert_duration_seconds"].samples
        if sample.labels.get("severity") == "critical" and "le" not in sample.labels
    }
    assert durations == {"jelmore_alert_duration_seconds_count": 1, "jelmore_alert_duration_seconds_sum": 360}
    async with http.get(f"{responder.server.url}/health") as response:
        assert (await response.json())["dependencies"]["rules"] == {"status": "ok"}


async def test_alerts_of_a_century_leave_the_event_loop_free(
    tmp_path: Path,
    start: Callable[[ResponderSettings], Any],
    http: aiohttp.ClientSession,
    payload: Callable[..., bytes],
    wire: Callable[..., dict[str, Any]],
) -> None:
    """A hundred alerts that claim to have lasted from 2001 to 2099, under daily maintenance, cost no health check."""
    path = tmp_path / "rules.json"
    old = dataclasses.replace(window("daily", time(3), "FREQ=DAILY"), first=date(2001, 1, 1))
    path.write_text(encode(7, [old]))
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", rules_file=path))
    alerts = [
        wire(status="resolved", starts="2001-01-01T00:00:00Z", ends="2099-01-01T00:00:00Z", fingerprint=f"{number:x}")
        for number in range(100)
    ]
    url = f"{responder.server.url}/api/v1/alerts/webhook"
    began, cpu = clock.monotonic(), clock.process_time()
    headers = {"Content-Type": "application/json"}
    async with http.post(url, data=payload(*alerts), headers=headers) as response:
        assert response.status == 200

    assert clock.process_time() - cpu < 5, f"{clock.monotonic() - began:.0f} s; one expansion takes about half a second"
    async with http.get(f"{responder.server.url}/api/v1/alerts") as response:
        (row, *_) = (await response.json())["alerts"]
    assert datetime.fromisoformat(row["ends_at"]) <= datetime.now(UTC), "an alert is resolved when its end has passed"
    async with http.get(f"{responder.server.url}/metrics") as response:
        assert 'jelmore_alert_duration_seconds_count{severity="critical"} 100.0' in await response.text()
