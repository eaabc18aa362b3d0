"""The running exporter over real servers: events go in by NATS, figures come out at /metrics."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import free_port
from jelmon.nats.subjects import DEAD_LETTER_STREAM, STREAM, subject_of
from jelmon_exporter.app import Exporter

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]
OWN_PREFIXES = ("process_", "python_")


async def fetch(url: str, **headers: str) -> tuple[int, str, Any]:
    """Status, text and headers of a GET."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text(), response.headers


def applied(exporter: Exporter) -> int:
    """How many events are counted and committed."""
    values = [exporter.view.value(c.EVENTS_APPLIED, name) for name in e.EVENT_TYPES]
    return sum(int(value) for value in values if isinstance(value, int | float))


def everything(say: Any) -> list[e.Envelope]:
    """Events that touch every metric that events can touch."""
    data: list[tuple[type[Any], e.Data, str | None]] = [
        (e.GateEvaluated, e.GateEvaluatedData(pipeline="main", gate="cover", verdict=e.Verdict.WARNED), "a"),
        (
            e.TestFinished,
            e.TestFinishedData(pipeline="main", category="unit", outcome=e.TestOutcome.ERROR, duration_seconds=1),
            "a",
        ),
        (
            e.ScanFinished,
            e.ScanFinishedData(pipeline="main", scanner="sast", outcome=e.Outcome.SUCCESS, duration_seconds=1),
            "a",
        ),
        (e.SessionStarted, e.SessionData(kind="agent"), "s"),
        (e.SessionFinished, e.SessionFinishedData(kind="agent", outcome=e.Outcome.SUCCESS), "s"),
        (
            e.CallFinished,
            e.CallFinishedData(target="db", outcome=e.Outcome.ERROR, duration_seconds=0.1, error="connect"),
            None,
        ),
        (e.WorkRecorded, e.WorkRecordedData(tool="editor", kind="edit", duration_seconds=1), None),
        (e.ActionRequested, e.ActionRequestedData(action="scale_up", requested_by="Stall"), "x"),
        (e.ActionFinished, e.ActionFinishedData(action="scale_up", outcome=e.Outcome.SUCCESS), "x"),
        (
            e.PipelineDeclared,
            e.PipelineDeclaredData(
                pipeline="main",
                stages=(e.StageDeclaration(stage="build", workers=2, queue_capacity=9, time_limit_seconds=60),),
                stall_limit_seconds=600,
                card_target_seconds=3600,
            ),
            None,
        ),
    ]
    return [
        say.card_queued("a", at=0),
        say.card_started("a", at=1),
        say.queued("a", "build", at=1),
        say.started("a", "build", at=2),
        say.retried("a", "build", at=3, attempt=2),
        say.finished("a", "build", at=4, next_stage="test"),
        say.queued("b", "build", at=5),
        say.started("c", "build", at=5),
        say.card_finished("a", at=6),
        *(say.event(kind, datum, subject, 7) for kind, datum, subject in data),
    ]


async def test_what_is_exposed_is_what_the_catalogue_declares(
    own_nats_url: str, exporting: Exporting, say: Any, until: Until
) -> None:
    """Names, types, units and labels, in both formats; and no other name but those that prometheus_client adds."""
    events = everything(say)
    async with exporting(nats_url=own_nats_url) as exporter, Publisher(own_nats_url) as publisher:
        await until(lambda: exporter.source.up)
        await publisher.publish_many(events)
        await until(lambda: applied(exporter) == len(events))
        _, text, headers = await fetch(f"{exporter.url}/metrics")
        _, openmetrics, om_headers = await fetch(
            f"{exporter.url}/metrics", Accept="application/openmetrics-text; version=1.0.0"
        )

    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert om_headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in parse_openmetrics(openmetrics)}  # type: ignore[no-untyped-call]
    declared = {metric.name.removesuffix("_total"): metric for metric in c.of_service(c.Service.EXPORTER)}

    assert {name for name in families if not name.startswith(OWN_PREFIXES)} == set(declared)
    empty = set()
    for name, metric in declared.items():
        family = families[name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.unit == (metric.unit if name.endswith(f"_{metric.unit}") else "")
        if not family.samples:
            empty.add(metric.name)
        for sample in family.samples:
            assert sample.name in metric.series
            assert set(sample.labels) == {
                label for label in metric.series_labels if label != "le" or sample.name.endswith("_bucket")
            }
    not_yet = {
        metric.name for metric in declared.values() if metric.name.startswith(("jelmore_probe", "jelmore_target"))
    }
    not_yet |= {c.EXPORTER_RESETS.name, c.LABELS_OVERFLOWED.name, c.SYSTEM_DISK_IO.name, c.STAGE_OLDEST_WAITING.name}
    not_yet.add(c.EXPOSITION_FAULTS.name)

    assert empty <= not_yet
    assert {family.name for family in parse_text(text)} >= {"process_cpu_seconds", "python_gc_objects_collected"}


@pytest.mark.parametrize("kept", ["in memory", "on disk", "in Redis"])
async def test_counts_survive_a_restart(
    own_nats_url: str, redis_url: str, tmp_path: Path, exporting: Exporting, say: Any, until: Until, kept: str
) -> None:
    """In Redis and on disk they are kept; in memory they are counted again from the stream. None loses or doubles."""
    settings: dict[str, Any] = {"nats_url": own_nats_url}
    kinds: dict[str, dict[str, Any]] = {
        "in memory": {},
        "on disk": {"state_path": tmp_path / "state"},
        "in Redis": {"redis_url": redis_url},
    }
    settings |= kinds[kept]
    first = [event for number in range(50) for event in (say.card_started(f"card-{number}", at=number),)]
    second = [say.card_finished(f"card-{number}", at=100 + number) for number in range(50)]
    async with Publisher(own_nats_url) as publisher:
        async with exporting(**settings) as exporter:
            await until(lambda: exporter.source.up)
            await publisher.publish_many(first)
            await until(lambda: applied(exporter) == 50)
        await publisher.publish_many(second[:25])
        async with exporting(**settings) as exporter:
            await publisher.publish_many(second[25:])
            await until(lambda: applied(exporter) == 100)
            view = exporter.view

            assert view.value(c.CARDS_STARTED, "main") == 50
            assert view.value(c.CARDS_FINISHED, "main", "success") == 50
            assert view.value(c.CARDS_IN_PROGRESS, "main") == 0
            assert view.value(c.EVENTS_DUPLICATE) == 0
            total, counts = view.value(c.CARD_PROCESSING, "main", "success")
            assert (total, sum(counts)) == (50 * 100_000_000, 50)


async def test_what_cannot_be_read_is_parked_and_the_rest_goes_on(
    own_nats_url: str, exporting: Exporting, say: Any, until: Until
) -> None:
    """The dead-letter stream keeps the bytes, the reason and the place; counting does not stop."""
    good = say.card_started("a", at=0)
    batch = [say.card_started("a", at=1), say.card_finished("a", at=2)]
    bad_batch = b"[" + e.encode(batch[0]) + b',{"type":"jelmore.card.exploded"},' + e.encode(batch[1]) + b"]"
    client = await nats.connect(own_nats_url)
    try:
        async with exporting(nats_url=own_nats_url) as exporter:
            await until(lambda: exporter.source.up)
            context = client.jetstream()
            await context.publish("jelmore.events.card.a", b"\xff not JSON")
            await context.publish("jelmore.events.card.a", b'{"type":"jelmore.card.started"}')
            await context.publish("jelmore.events.card.a", bad_batch)
            await context.publish("jelmore.events.card.a", b"[]")
            await context.publish("jelmore.events.card.a", b"x" * 70_000)
            await context.publish("jelmore.events.card.a", e.encode(say.card_started("a", at=0, pipeline="a\0b")))
            await context.publish(subject_of(good), e.encode(good))
            await until(lambda: applied(exporter) == 3)
            view = exporter.view

            assert view.value(c.EVENTS_PARKED, "malformed") == 1
            assert view.value(c.EVENTS_PARKED, "invalid") == 3
            assert view.value(c.EVENTS_PARKED, "unknown_type") == 1
            assert view.value(c.EVENTS_PARKED, "oversized") == 1
            parked = [await context.get_msg(DEAD_LETTER_STREAM, number) for number in range(1, 7)]
    finally:
        await client.close()

    assert [one.headers and one.headers["Jelmon-Reason"] for one in parked] == [
        "malformed",
        "invalid",
        "unknown_type",
        "invalid",
        "oversized",
        "invalid",
    ]
    assert parked[0].data == b"\xff not JSON"
    assert parked[2].headers is not None
    assert parked[2].headers["Nats-Msg-Id"] == f"{STREAM}-3-1"
    assert parked[2].data == b'{"type":"jelmore.card.exploded"}'
    assert (parked[5].headers or {})["Jelmon-Message"] == (
        "jelmore.card.started: Control character '\\x00' - at `$.data.pipeline`"
    )


async def test_without_nats_it_serves_and_says_that_it_is_not_ready(
    exporting: Exporting, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with exporting(nats_url="nats://127.0.0.1:9") as exporter:
        status, text, _ = await fetch(f"{exporter.url}/metrics")
        ready, _, _ = await fetch(f"{exporter.url}/-/ready")
        healthy, _, _ = await fetch(f"{exporter.url}/-/healthy")
        await until(lambda: "does not answer" in caplog.text)

    assert (status, ready, healthy) == (200, 503, 200)
    assert 'jelmore_exporter_source_up{source="jetstream"} 0\n' in text
    assert "\njelmore_exporter_events_applied_total" not in text
    assert "nats-server --jetstream" in caplog.text


async def test_without_redis_it_says_so_at_once(
    exporting: Exporting, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when NATS does not answer either, so that nothing is counted yet. It is told once."""
    port = free_port()
    async with exporting(
        nats_url=f"nats://127.0.0.1:{free_port()}", redis_url=f"redis://127.0.0.1:{port}/0"
    ) as exporter:
        await until(lambda: [message for message in caplog.messages if f"127.0.0.1:{port}" in message])
        exporter.mirror._read = float("-inf")  # as if some time had passed
        await exporter.mirror.refresh()

        assert exporter.process_series.cell(c.STATE_STORE_UP).value == 0
        assert not exporter.checks()["state"].ok
    told = [message for message in caplog.messages if f"127.0.0.1:{port}" in message]

    assert len(told) == 1
    assert "REDIS_URL" in told[0]


async def test_it_becomes_ready_when_nats_comes(
    own_processes: Any, tool: Callable[[str], Path], tmp_path: Path, exporting: Exporting, until: Until
) -> None:
    port = free_port()
    async with exporting(nats_url=f"nats://127.0.0.1:{port}") as exporter:
        await until(lambda: exporter.source.trouble not in ("", "not connected yet"))
        await asyncio.to_thread(launch.nats, own_processes, tool("nats-server"), tmp_path / "late", port=port)
        await until(lambda: exporter.source.up and exporter.view.complete)
        ready, _, _ = await fetch(f"{exporter.url}/-/ready")

    assert ready == 200


async def test_the_page_is_zipped_when_that_is_wanted(own_nats_url: str, exporting: Exporting) -> None:
    async with exporting(nats_url=own_nats_url) as exporter:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(f"{exporter.url}/metrics", headers={"Accept-Encoding": "gzip"}) as response,
        ):
            zipped = await response.read()
            encoding = response.headers["Content-Encoding"]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{exporter.url}/metrics", headers={"Accept-Encoding": "identity"}) as response,
        ):
            plain = "Content-Encoding" not in response.headers

    assert (encoding, plain) == ("gzip", True)
    assert gzip.decompress(zipped).startswith(b"# HELP jelmore_cards_queued_total")


async def test_stopping_leaves_nothing_behind(own_nats_url: str, exporting: Exporting, until: Until) -> None:
    """No task, no open port, and within the seconds that an orchestrator gives."""
    before = asyncio.all_tasks()
    async with exporting(nats_url=own_nats_url) as exporter:
        await until(lambda: exporter.source.up)
        url = exporter.url
    left = asyncio.all_tasks() - before

    assert left == set()
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetch(url)
