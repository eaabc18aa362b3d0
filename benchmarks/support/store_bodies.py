"""Remote-write requests of both versions for benchmarks: 2,000 series of ten labels with one sample each."""

import random
import struct

from jelmon_store.wire import messages, snappy

SERIES = 2000  # of a request, as Prometheus sends by default
STEP_MS = 15_000


def labels_of(connection: int, number: int) -> list[tuple[str, str]]:
    """Ten labels, as a series of a container has."""
    return [
        ("__name__", f"bench_requests_total_{number % 20}"),
        ("cluster", "eu-west-1"),
        ("code", str(200 + number % 5)),
        ("container", f"container-{number % 7}"),
        ("instance", f"10.0.{connection}.{number // 100}:8080"),
        ("job", "bench"),
        ("method", ("GET", "POST")[number % 2]),
        ("namespace", f"namespace-{number % 11}"),
        ("path", f"/api/v1/resource/{number}"),
        ("pod", f"pod-{connection}-{number // 10}-7d9f8b6c5d"),
    ]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Bodies:
    """Compressed requests with the series of one connection.

    With a ``drift``, each request begins that many series after the one before, as the requests of a Prometheus do
    whose number of series is no multiple of their size.
    """

    def __init__(self, connection: int, *, drift: int = 0) -> None:
        self._labels = [labels_of(connection, number) for number in range(SERIES)]
        self._random = random.Random(connection)
        self._drift = drift
        self._requests = 0
        self._heads: list[bytes] = []

    def v1(self, moment: int) -> bytes:
        """A request of 1.0 with samples of one time."""
        self._heads = self._heads or [
            messages.TimeSeries(
                labels=[
                    messages.Label(name=name.encode(), value=value.encode()).SerializeToString()
                    for name, value in labels
                ]
            ).SerializeToString()
            for labels in self._labels
        ]
        parts = []
        for number in self._order():
            series = self._heads[number] + self._sample(moment)
            parts += [b"\x0a", varint(len(series)), series]
        return snappy.compress(b"".join(parts))

    def v2(self, moment: int) -> bytes:
        """A request of 2.0 with samples of one time, and metadata."""
        symbols: dict[str, int] = {"": 0}
        parts = []
        for number in self._order():
            labels = self._labels[number]
            references = b"".join(varint(symbols.setdefault(text, len(symbols))) for pair in labels for text in pair)
            metadata = b"\x08\x01\x18" + varint(symbols.setdefault("Requests.", len(symbols)))
            series = b"\x0a" + varint(len(references)) + references + self._sample(moment)
            series += b"\x2a" + varint(len(metadata)) + metadata
            parts += [b"\x2a", varint(len(series)), series]
        heads = [part for text in symbols for part in (b"\x22", varint(len(text.encode())), text.encode())]
        return snappy.compress(b"".join([*heads, *parts]))

    def _order(self) -> list[int]:
        begin = self._requests * self._drift
        self._requests += 1
        return [(begin + number) % SERIES for number in range(SERIES)]

    def _sample(self, moment: int) -> bytes:
        inner = b"\x09" + struct.pack("<d", self._random.random() * 1000) + b"\x10" + varint(moment)
        return b"\x12" + varint(len(inner)) + inner
