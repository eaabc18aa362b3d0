"""Names of streams and subjects, and the partition of a subject."""

import re
from functools import lru_cache

from jelmon.events import Envelope, type_of

STREAM = "JELMORE"
DEAD_LETTER_STREAM = "JELMORE_DLQ"
DEAD_LETTER_SUBJECTS = "jelmore.dlq.>"
BATCH = "batch"
"""Replaces the noun in the subject of a message with several events, all of one partition."""
PARTITIONS = 16
UNPARTITIONED = "jelmore.events.*.*"
"""``jelmore.events.<noun>.<key>``: for producers that do not compute the partition."""
PARTITION_TARGET = f"jelmore.events.{{{{wildcard(1)}}}}.{{{{partition({PARTITIONS},2)}}}}.{{{{wildcard(2)}}}}"
"""The subject transform of the stream that adds the partition; NATS 2.10 or newer."""
EVENT_SUBJECTS = (UNPARTITIONED, *(f"jelmore.events.*.{partition}.*" for partition in range(PARTITIONS)))
"""No broader: an event on a subject without a partition consumer would be stored and never counted."""
DUPLICATE_WINDOW_SECONDS = 120.0
RETENTION_SECONDS = 7 * 86400.0

_NOT_IN_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


def token(text: str) -> str:
    """Return the text as one subject token of at most 64 characters. Texts may share a token: it only spreads load."""
    return _NOT_IN_TOKEN.sub("_", text[:64]) or "_"


def subject_of(event: Envelope) -> str:
    """Return ``jelmore.events.<noun>.<partition>.<key>``; the key is the event's subject, which keeps a card's order.

    The partition is computed here because only NATS 2.10 and newer can add it.
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
    """Return ``jelmore.events.<noun>.<key>`` with its partition added."""
    return f"jelmore.events.{noun}.{partition_of(key)}.{key}"


def batch_subject(subject: str) -> str:
    """Return the subject of a batch in the partition of ``subject``, which is that of its first event."""
    words = subject.split(".")
    return ".".join([*words[:2], BATCH, *words[3:]])


def takes(pattern: str, subject: str) -> bool:
    """Return whether ``pattern`` matches every subject that ``subject``, itself a pattern or not, matches."""
    ours, theirs = pattern.split("."), subject.split(".")
    for position, word in enumerate(ours):
        if word == ">":
            return len(theirs) > position
        if position >= len(theirs) or theirs[position] == ">" or word not in ("*", theirs[position]):
            return False
    return len(ours) == len(theirs)


def action_subject(action: str) -> str:
    """Return the subject on which the responder publishes an action."""
    return f"jelmore.actions.{token(action)}"


def partition_filter(partition: int) -> str:
    """Return the filter for one partition: ``jelmore.events.*.<partition>.*``."""
    return f"jelmore.events.*.{partition}.*"


def dead_letter_subject(partition: int) -> str:
    """Return the dead-letter subject of a partition."""
    return f"jelmore.dlq.{partition}"


@lru_cache(maxsize=65_536)  # a card has several events
def partition_of(key: str, count: int = PARTITIONS) -> int:
    """Return the partition of a token: FNV-1a (32 bit) modulo ``count``, as nats-server's ``{{partition(...)}}``."""
    value = 2166136261
    for byte in key.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % count
