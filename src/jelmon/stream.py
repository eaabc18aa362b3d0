"""Names in NATS where producers and consumers meet: streams, subjects, partitions."""

import re

from jelmon.events import Envelope, type_of

STREAM = "JELMORE"
EVENT_SUBJECTS = "jelmore.events.*.*"
"""Not more: an event on a subject that is in no partition would be stored, and nobody would ever count it."""
DEAD_LETTER_STREAM = "JELMORE_DLQ"
DEAD_LETTER_SUBJECTS = "jelmore.dlq.>"
BATCH = "batch"
"""In place of a noun: a message with several events, of any nouns and all of one partition."""
PARTITIONS = 16
PARTITION_SOURCE = "jelmore.events.*.*"
PARTITION_TARGET = f"jelmore.events.{{{{wildcard(1)}}}}.{{{{partition({PARTITIONS},2)}}}}.{{{{wildcard(2)}}}}"
"""How the stream puts the partition into the subject as it stores a message; NATS 2.10 or newer."""
DUPLICATE_WINDOW_SECONDS = 120.0
RETENTION_SECONDS = 7 * 86400.0

_NOT_IN_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


def token(text: str) -> str:
    """The text as one subject token of at most 64 characters. Two texts may share a token: it only spreads load."""
    return _NOT_IN_TOKEN.sub("_", text[:64]) or "_"


def subject_of(event: Envelope) -> str:
    """``jelmore.events.<noun>.<key>``. The key is the event's subject, so that all events of a card stay in order."""
    noun = type_of(event).split(".")[1]
    data = getattr(event, "data", None)
    key = (
        getattr(event, "subject", None)
        or getattr(data, "pipeline", None)
        or getattr(data, "target", None)
        or event.source
    )
    return f"jelmore.events.{noun}.{token(key)}"


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


def as_published(stored: str) -> str:
    """The subject on which a message was published, from the one under which the stream keeps it: no partition."""
    words = stored.split(".")
    return ".".join([*words[:3], words[4]]) if len(words) == 5 else stored


def dead_letter_subject(partition: int) -> str:
    """Where events that cannot be read are parked."""
    return f"jelmore.dlq.{partition}"


def partition_of(key: str, count: int = PARTITIONS) -> int:
    """The partition of a subject token: FNV-1a (32 bit) modulo ``count``, as nats-server's ``{{partition(...)}}``."""
    value = 2166136261
    for byte in key.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % count
