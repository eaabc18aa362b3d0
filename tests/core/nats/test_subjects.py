"""Names in NATS: subjects are valid, and our partition function is the server's."""

import re

import nats
import pytest
from nats.js.api import StreamConfig, SubjectTransform

from jelmon import events
from jelmon.nats import subjects as stream


def test_subject_has_the_noun_and_the_key() -> None:
    event = events.make(events.CardStarted, events.CardData(pipeline="p"), source="/ci", subject="card-1")

    assert stream.subject_of(event) == "jelmore.events.card.5.card-1"


def test_an_event_without_subject_goes_by_its_pipeline() -> None:
    event = events.make(events.PipelineDeclared, events.PipelineDeclaredData(pipeline="p", stages=()), source="/ci")

    assert stream.subject_of(event) == "jelmore.events.pipeline.15.p"


@pytest.mark.parametrize(
    "text",
    ["a.b", "a b", "*", ">", "", "ü", "x" * 300, "\n"],
    ids=["dot", "space", "star", "gt", "empty", "umlaut", "long", "newline"],
)
def test_any_text_becomes_one_token(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", stream.token(text))


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.>", "a.*.*", True),
        ("a.*.*", "a.*.*", True),
        ("a.*.*", "a.b.c", True),
        ("a.*.*", "a.>", False),
        ("a.*.*", "a.b", False),
        ("a.*.*", "a.b.c.d", False),
        ("a.>", "a", False),
        (">", "a.b", True),
        ("a.b.c", "a.*.c", False),
        ("b.>", "a.*.*", False),
    ],
)
def test_a_pattern_takes_every_subject_of_another(pattern: str, subject: str, expected: bool) -> None:
    assert stream.takes(pattern, subject) is expected


async def test_partition_is_the_one_that_the_server_computes(nats_url: str) -> None:
    """Publishers name it themselves, the stream does it for others: both must agree."""
    keys = [f"card-{number}" for number in range(200)]
    connection = await nats.connect(nats_url)
    try:
        jetstream = connection.jetstream()
        await jetstream.add_stream(
            StreamConfig(
                name="PARTITIONS",
                subjects=["partitions.*"],
                subject_transform=SubjectTransform(
                    src="partitions.*", dest="partitioned.{{partition(16,1)}}.{{wildcard(1)}}"
                ),
            )
        )
        for key in keys:
            await jetstream.publish(f"partitions.{key}", b"")
        subscription = await jetstream.subscribe("", stream="PARTITIONS", ordered_consumer=True)
        subjects = [(await subscription.next_msg()).subject for _ in keys]
        await jetstream.delete_stream("PARTITIONS")
    finally:
        await connection.close()

    assert subjects == [f"partitioned.{stream.partition_of(key)}.{key}" for key in keys]
