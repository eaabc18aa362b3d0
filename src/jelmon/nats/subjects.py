"""Names in NATS where producers and consumers meet: streams, subjects, partitions."""

import re
from functools import lru_cache

from jelmon.events import Envelope, type_of

STREAM = "JELMORE"
DEAD_LETTER_STREAM = "JELMORE_DLQ"
DEAD_LETTER_SUBJECTS = "jelmore.dlq.>"
BATCH = "batch"
"""In place of a noun: a message with several events, of any nouns and all of one partition."""
PARTITIONS = 16
UNPARTITIONED = "jelmore.events.*.*"
"""``jelmore.events.<noun>.<key>``: where producers publish that know of no partitions."""
PARTITION_TARGET = f"jelmore.events.{{{{wildcard(1)}}}}.{{{{partition({PARTITIONS},2)}}}}.{{{{wildcard(2)}}}}"
"""How the stream puts the partition into such a subject as it stores a message; NATS 2.10 or newer."""
EVENT_SUBJECTS = (UNPARTITIONED, *(f"jelmore.events.*.{partition}.*" for partition in range(PARTITIONS)))
"""Not more: an event on a subject that is in no partition would be stored, and nobody would ever count it."""
DUPLICATE_WINDOW_SECONDS = 120.0
RETENTION_SECONDS = 7 * 86400.0

_NOT_IN_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


def token(text: str) -> str:
    """The text as one subject token of at most 64 characters. Two texts may share a token: it only spreads load."""
    return _NOT_IN_TOKEN.sub("_", text[:64]) or "_"


def subject_of(event: Envelope) -> str:
    """``jelmore.events.<noun>.<partition>.<key>``. The key is the event's subject, so that events of a card keep order.

    Names the partition itself, as only NATS 2.10 and newer can do that: any server stores the same.
    """
    noun = type_of(event).split(".")[1]
    data = getattr(event, "data", None)
    key = (
        getattr(event, "subject", None)
        or getattr(data, "pipeline", None)
        or getattr(data, "target", None)
        or event.source
    )
    return partitioned(noun, token(key))


def partitioned(noun: str, key: str) -> str:
    """The subject of what is published on ``jelmore.events.<noun>.<key>``, with its partition."""
    return f"jelmore.events.{noun}.{partition_of(key)}.{key}"


def batch_subject(subject: str) -> str:
    """Where a message with several events goes, the first of which would go to ``subject``: to the same partition."""
    words = subject.split(".")
    return ".".join([*words[:2], BATCH, *words[3:]])


def takes(pattern: str, subject: str) -> bool:
    """Whether every subject that ``subject`` stands for is one that ``pattern`` stands for."""
    ours, theirs = pattern.split("."), subject.split(".")
    for position, word in enumerate(ours):
        if word == ">":
            return len(theirs) > position
        if position >= len(theirs) or theirs[position] == ">" or word not in ("*", theirs[position]):
            return False
    return len(ours) == len(theirs)


def action_subject(action: str) -> str:
    """Where the responder publishes an action for the pipeline to obey."""
    return f"jelmore.actions.{token(action)}"


def partition_filter(partition: int) -> str:
    """The stored subjects of one partition: ``jelmore.events.<noun>.<partition>.<key>``."""
    return f"jelmore.events.*.{partition}.*"


def dead_letter_subject(partition: int) -> str:
    """Where events that cannot be read are parked."""
    return f"jelmore.dlq.{partition}"


@lru_cache(maxsize=65_536)  # a card has several events
def partition_of(key: str, count: int = PARTITIONS) -> int:
    """The partition of a subject token: FNV-1a (32 bit) modulo ``count``, as nats-server's ``{{partition(...)}}``."""
    value = 2166136261
    for byte in key.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % count
