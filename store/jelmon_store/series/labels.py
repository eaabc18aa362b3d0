"""Label sets: their checks, their canonical form, and the fingerprint that identifies a series in the database."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

METRIC_NAME = "__name__"
_encode = msgspec.json.Encoder(order="sorted").encode


class LabelError(ValueError):
    """A label set that is refused, with the reason for the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLimits:
    """Limits of one label set."""

    labels: int = 64
    name_bytes: int = 512
    value_bytes: int = 4096


def read_pairs(pairs: Iterable[tuple[bytes, bytes]], limits: LabelLimits) -> dict[str, str]:
    """Return labels in sorted order. An empty value is the same as no label, as everywhere in Prometheus.

    Raises:
        LabelError: duplicate or empty names, text that PostgreSQL cannot hold, or a limit exceeded.
    """
    labels: dict[str, str] = {}
    for name_bytes, value_bytes in pairs:
        if len(name_bytes) > limits.name_bytes or len(value_bytes) > limits.value_bytes:
            raise LabelError(
                f"label {name_bytes[:50].decode(errors='replace')!r}: names have at most {limits.name_bytes} bytes and "
                f"values {limits.value_bytes}"
            )
        try:
            name, value = name_bytes.decode(), value_bytes.decode()
        except UnicodeDecodeError as error:
            raise LabelError(f"label {name_bytes[:50]!r} is not UTF-8") from error
        if not name:
            raise LabelError("a label has no name")
        if name in labels:
            raise LabelError(f"duplicate label {name[:50]!r}")
        if "\0" in name or "\0" in value:
            raise LabelError(f"label {name[:50]!r} contains a NUL character, which PostgreSQL cannot hold")
        labels[name] = value
    if len(labels) > limits.labels:
        raise LabelError(f"{len(labels)} labels; at most {limits.labels} are allowed")
    return {name: value for name, value in sorted(labels.items()) if value}


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """A series as the database identifies it."""

    tenant: str
    metric: str
    labels: str  # JSON, sorted, without the metric name
    fingerprint: bytes
    group: int  # see `write.groups`

    @classmethod
    def of(cls, tenant: str, labels: dict[str, str]) -> "SeriesKey":
        """Return the key of a label set with a metric name.

        Raises:
            LabelError: the label set has no metric name.
        """
        metric = labels.get(METRIC_NAME)
        if metric is None:
            raise LabelError("no metric name (label __name__)")
        others = {name: value for name, value in labels.items() if name != METRIC_NAME}
        return cls(tenant, metric, as_json(others), fingerprint(labels), group_of(tenant, labels))


def as_json(labels: dict[str, str]) -> str:
    """Return labels as canonical JSON."""
    return _encode(labels).decode()


def fingerprint(labels: dict[str, str]) -> bytes:
    """Return the 16-byte hash of a sorted label set, with its metric name."""
    # 0xff is in no UTF-8 text, so that no two label sets have the same bytes
    parts = [part.encode() for pair in labels.items() for part in pair]
    return hashlib.blake2b(b"\xff".join(parts), digest_size=16).digest()


def group_of(tenant: str, labels: dict[str, str]) -> int:
    """Return the write group of a series: one for each target, as its series come from one Prometheus."""
    parts = (tenant, labels.get("job", ""), labels.get("instance", ""))
    digest = hashlib.blake2b(b"\xff".join(part.encode() for part in parts), digest_size=2).digest()
    return int.from_bytes(digest, "little")
