"""A remote-write sender of our own: builds requests of both versions and posts them."""

import io
import struct
import time
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp
import psycopg

from jelmon_store.wire import messages
from jelmon_store.wire.snappy import compress

STALE = 0x7FF0000000000002
V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
Labels = Sequence[tuple[str, str]]


def now_ms() -> int:
    return int(time.time() * 1000)


def bits(value: float) -> int:
    """The bits of a double."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def labels_of(name: str, **labels: str) -> list[tuple[str, str]]:
    return [("__name__", name), *sorted(labels.items())]


def v1_series(
    labels: Labels,
    samples: Iterable[tuple[int, int]] = (),
    *,
    exemplars: Iterable[tuple[Labels, int, int]] = (),
    histograms: Iterable[Any] = (),
) -> bytes:
    """A series of version 1.0; samples and exemplars have times and the bits of values."""
    return bytes(
        messages.TimeSeries(
            labels=[_label(name, value).SerializeToString() for name, value in labels],
            samples=[_sample(moment, value) for moment, value in samples],
            exemplars=[
                messages.Exemplar(labels=[_label(*pair) for pair in pairs], timestamp=moment, value=value)
                for pairs, moment, value in exemplars
            ],
            histograms=[histogram.SerializeToString() for histogram in histograms],
        ).SerializeToString()
    )


def v1(*series: bytes, metadata: Iterable[bytes] = ()) -> bytes:
    """A compressed request of version 1.0."""
    return compress(messages.WriteRequest(timeseries=series, metadata=metadata).SerializeToString())


def _label(name: str, value: str) -> Any:
    return messages.Label(name=name.encode(), value=value.encode())


def _sample(moment: int, value: int, start: int = 0) -> Any:
    # proto3 leaves zeros away, as Prometheus does
    sample = messages.Sample()
    if value:
        sample.value = value
    if moment:
        sample.timestamp = moment
    if start:
        sample.start_timestamp = start
    return sample


class RequestV2:
    """A request of version 2.0 in the making."""

    def __init__(self) -> None:
        self.symbols = {"": 0}
        self.series: list[bytes] = []

    def add(
        self,
        labels: Labels,
        samples: Iterable[tuple[int, int] | tuple[int, int, int]] = (),
        *,
        exemplars: Iterable[tuple[Labels, int, int]] = (),
        histograms: Iterable[Any] = (),
        metadata: tuple[int, str, str] | None = None,
        created: int = 0,
    ) -> "RequestV2":
        """Add a series; samples have a time, the bits of a value, and may have a start; metadata type, help, unit."""
        series = messages.TimeSeriesV2(
            labels_refs=self._references(labels),
            samples=[_sample(*sample) for sample in samples],
            exemplars=[
                messages.ExemplarV2(labels_refs=self._references(pairs), timestamp=moment, value=value)
                for pairs, moment, value in exemplars
            ],
            histograms=[histogram.SerializeToString() for histogram in histograms],
        )
        if metadata is not None:
            kind, help_text, unit = metadata
            series.metadata.type = kind
            series.metadata.help_ref = self._reference(help_text)
            series.metadata.unit_ref = self._reference(unit)
        if created:
            series.created_timestamp = created
        self.series.append(_packed(series))
        return self

    def body(self) -> bytes:
        """The compressed request."""
        request = messages.Request(symbols=[text.encode() for text in self.symbols], timeseries=self.series)
        return compress(request.SerializeToString())

    def _reference(self, text: str) -> int:
        return self.symbols.setdefault(text, len(self.symbols))

    def _references(self, labels: Labels) -> list[int]:
        return [self._reference(text) for pair in labels for text in pair]


def _packed(series: Any) -> bytes:
    """The series with its references packed, as senders write them; our schema, of syntax proto2, does not pack."""
    references = b"".join(_varint(number) for number in series.labels_refs)
    rest = type(series).FromString(series.SerializeToString())
    rest.ClearField("labels_refs")
    head = b"\x0a" + _varint(len(references)) + references if references else b""
    return bytes(head + rest.SerializeToString())


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


async def post(
    url: str, body: bytes, *, kind: str = V1, encoding: str = "snappy", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    """Post a body; return status, text and headers of the response."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/api/v1/write",
            data=io.BytesIO(body),
            headers={"Content-Type": kind, "Content-Encoding": encoding, **(headers or {})},
        ) as response,
    ):
        return response.status, await response.text(), dict(response.headers)


def stored(dsn: str, name: str | None = None) -> list[tuple[dict[str, str], int, int]]:
    """What is stored: labels, time in milliseconds, bits of the value; by name, in order of time."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT labels || jsonb_build_object('__name__', name), (extract(epoch FROM time) * 1000)::bigint, "
            "float8send(value) FROM jelmore.samples JOIN jelmore.series USING (series_id) "
            "JOIN jelmore.metrics USING (metric_id) WHERE name = coalesce(%s, name) ORDER BY time, fingerprint",
            (name,),
        ).fetchall()
    return [(labels, moment, int.from_bytes(value, "big")) for labels, moment, value in rows]


def row_count(dsn: str, table: str = "samples") -> int:
    """How many rows a table has."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM jelmore.{table}").fetchone()
    return row[0] if row else 0
