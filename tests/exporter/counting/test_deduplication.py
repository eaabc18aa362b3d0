"""An event is identified by its source and id, as CloudEvents says: in the window, in the stream, in stored states."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon_exporter.counting.changes import drain_all
from jelmon_exporter.counting.deduplication import DeduplicationWindow
from jelmon_exporter.counting.restore import restore
from jelmon_exporter.state.model import Snapshot

Making = Callable[..., Any]
TEXTS = st.sampled_from(["1", "2", "a b", "/ci", "/é"])


def action(source: str, event_id: str, subject: str = "a") -> e.Envelope:
    data = e.ActionRequestedData(action="scale_up", requested_by="Alert")
    return e.make(e.ActionRequested, data, source=source, id=event_id, subject=subject)


async def test_two_sources_may_use_the_same_id(
    own_nats_url: str, exporting: Callable[..., Any], until: Callable[..., Awaitable[None]]
) -> None:
    """And a retry by one of them, alone or in company, is still no second event."""
    ci, bot = action("/ci", "1"), action("/bot", "1")
    async with Publisher(own_nats_url) as publisher:
        await publisher.ensure_stream()
        stored = [await publisher.publish(event) for event in (ci, bot, ci)]
        await publisher.publish_many([bot, action("/bot", "2"), ci])
    async with exporting(nats_url=own_nats_url) as exporter:
        await until(lambda: exporter.view.value(c.ACTIONS_REQUESTED, "scale_up") == 3)
        await until(lambda: exporter.view.value(c.EVENTS_DUPLICATE) == 2)

        assert [result.duplicate for result in stored] == [False, False, True]
        assert exporter.view.value(c.ACTIONS_REQUESTED, "scale_up") == 3


def test_ids_stored_by_an_earlier_version_match_any_source_until_they_expire(books: Making) -> None:
    one = books(deduplication_seconds=600.0)
    restore(one.ledger, Snapshot(ids=[(1000.0, ["1", "2"])]))
    view = one.apply(action("/ci", "1"), action("/bot", "1"), action("/ci", "3"), arrived=1100.0)

    assert view.value(c.EVENTS_DUPLICATE) == 2
    assert view.value(c.ACTIONS_REQUESTED, "scale_up") == 1
    assert set(drain_all(one.ledger).ids) == {"1", "2", "/ci 3"}

    one.apply(action("/ci", "4"), arrived=1701.0)
    one.apply(action("/ci", "5"), arrived=1800.0)
    view = one.apply(action("/ci", "1"), arrived=1801.0)

    assert view.value(c.EVENTS_DUPLICATE) == 2


@given(st.lists(st.tuples(st.sampled_from(["/ci", "/bot", "/é"]), TEXTS), max_size=30), st.integers(1, 5))
def test_every_pair_of_source_and_id_is_admitted_once(pairs: list[tuple[str, str]], size: int) -> None:
    """In whatever batches they arrive, and across a restore after each batch."""
    window = DeduplicationWindow(seconds=600.0, limit=1000)
    stored: list[tuple[float, list[str]]] = []
    admitted: list[tuple[str, str]] = []
    remaining = iter(pairs)
    while batch := list(itertools.islice(remaining, size)):
        for source, event_id in batch:
            if window.admit([action(source, event_id)]):
                admitted.append((source, event_id))
        ids, _ = window.drain(1.0)
        stored.append((1.0, ids))
        window = DeduplicationWindow(seconds=600.0, limit=1000)
        window.restore(stored)

    assert sorted(admitted) == sorted(set(pairs))
