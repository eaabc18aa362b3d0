"""Series for the tests of reading: made up, the same each time, with every awkwardness that PromQL cares about."""

import itertools
import math
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jelmon_store.read.protobuf import bytes_field, encode_varint, varint_field
from jelmon_store.wire.messages import HistogramBits

START = 1_767_225_600_000  # 2026-01-01 00:00 UTC
STEP = 15_000
COUNT = 480  # two hours
STALE = 0x7FF0000000000002
INFINITY = math.inf


def bits(value: float) -> int:
    """The 64 bits of a float."""
    return int.from_bytes(struct.pack("<d", value), "little")


@dataclass
class TestSeries:
    """Labels with ``__name__``; samples as times and 64 bits; histograms as times and messages."""

    __test__ = False
    labels: dict[str, str]
    samples: list[tuple[int, int]] = field(default_factory=list)
    histograms: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Its place in the order of Prometheus."""
        return tuple(sorted(self.labels.items()))


def make_series(*, native_histograms: bool = True) -> list[TestSeries]:
    """All series, sorted by their labels."""
    rng = random.Random(12)
    series = [*_counters(rng), *_gauges(rng), *_classic_histograms(rng), *_odd_labels(rng), *_gaps(rng)]
    if native_histograms:
        series += _native_histograms(rng)
    return sorted(series, key=lambda one: one.key)


def _times(count: int = COUNT, *, step: int = STEP, first: int = START) -> range:
    return range(first, first + count * step, step)


def _counters(rng: random.Random) -> Iterator[TestSeries]:
    for job in ("api", "web"):
        for instance in range(4):
            for code in ("200", "404", "500"):
                value, samples = 0.0, []
                for index, time in enumerate(_times()):
                    value += rng.randrange(0, 40 if code == "200" else 3)
                    if instance == 1 and index in (200, 203, 400):
                        value = float(rng.randrange(0, 5))  # a restart
                    samples.append((time, bits(value)))
                labels = {"job": job, "instance": f"host-{instance}:9100", "code": code}
                if code != "404":
                    labels["method"] = "get" if instance % 2 else "post"
                yield TestSeries({"__name__": "http_requests_total", **labels}, samples)


def _gauges(rng: random.Random) -> Iterator[TestSeries]:
    for instance in range(6):
        level, samples = 100.0, []
        for index, time in enumerate(_times()):
            level += rng.randrange(-8, 9) * 0.25
            value = level
            if instance == 3:
                value = {50: math.nan, 60: INFINITY, 61: -INFINITY, 70: -0.0, 71: 0.0}.get(index, level)
            if instance == 4:
                value = 0.0
            samples.append((time + (rng.randrange(-3, 4) if instance == 5 and index else 0), bits(value)))
        yield TestSeries({"__name__": "memory_usage_bytes", "instance": f"host-{instance}:9100"}, samples)
    for pipeline in ("checkout", "search"):
        samples = [(time, bits(rng.randrange(0, 2))) for time in _times()]
        yield TestSeries({"__name__": "up", "job": pipeline}, samples)


def _classic_histograms(rng: random.Random) -> Iterator[TestSeries]:
    bounds = ("0.1", "0.5", "1", "5", "+Inf")
    for stage in ("build", "test"):
        counts, total = [0.0] * len(bounds), 0.0
        columns: list[list[tuple[int, int]]] = [[] for _ in range(len(bounds) + 2)]
        for time in _times():
            for _ in range(rng.randrange(0, 5)):
                first = rng.randrange(len(bounds))
                total += 0.25 * (first + 1)
                counts = [count + (index >= first) for index, count in enumerate(counts)]
            for column, value in zip(columns, [*counts, total, counts[-1]], strict=True):
                column.append((time, bits(value)))
        for bound, column in zip(bounds, columns, strict=False):
            yield TestSeries({"__name__": "run_seconds_bucket", "stage": stage, "le": bound}, column)
        yield TestSeries({"__name__": "run_seconds_sum", "stage": stage}, columns[-2])
        yield TestSeries({"__name__": "run_seconds_count", "stage": stage}, columns[-1])


def _odd_labels(rng: random.Random) -> Iterator[TestSeries]:
    values = {
        "plain": "a",
        "unicode": "größer-als-Ω-日本-🙂",
        "newline": "first\nsecond",
        "quotes": "say \"hi\" \\ 'ho'",
        "spaces": "  padded  ",
        "dots": "a.b.c",
        "upper": "A",
        "json": '{"a": [1]}',
        "percent": "100%s",
    }
    for index, (name, value) in enumerate(values.items()):
        samples = [(time, bits(index + rng.randrange(0, 8) * 0.5)) for time in _times(240)]
        yield TestSeries({"__name__": "odd_labels", "kind": name, "value": value}, samples)
    yield TestSeries({"__name__": "odd_labels"}, [(time, bits(7.0)) for time in _times(240)])
    yield TestSeries({"__name__": "recording:rule:sum", "Z": "1", "a": "2", "_b": "3"}, [(START, bits(1.0))])


def _gaps(rng: random.Random) -> Iterator[TestSeries]:
    ended = [(time, bits(5.0)) for time in _times(100)]
    yield TestSeries({"__name__": "short_lived", "end": "marker"}, [*ended, (START + 100 * STEP, STALE)])
    yield TestSeries({"__name__": "short_lived", "end": "silent"}, ended)
    back = [(time, bits(6.0)) for time in _times(50, first=START + 300 * STEP)]
    yield TestSeries({"__name__": "short_lived", "end": "returned"}, [*ended, (START + 100 * STEP, STALE), *back])
    sparse = [(time, bits(rng.randrange(100))) for time in _times(24, step=300_000)]
    yield TestSeries({"__name__": "sparse"}, sparse)
    blinking = [(time, STALE if index % 4 == 3 else bits(index)) for index, time in enumerate(_times())]
    yield TestSeries({"__name__": "blinking"}, blinking)


def _native_histograms(rng: random.Random) -> Iterator[TestSeries]:
    for stage in ("build", "test"):
        counts, total, messages = [0, 0, 0, 0], 0.0, []
        for index, time in enumerate(_times()):
            if stage == "test" and index == 250:
                counts, total = [0, 0, 0, 0], 0.0
            for _ in range(rng.randrange(0, 4)):
                bucket = rng.randrange(4)
                counts[bucket] += 1
                total += 0.25 * (bucket + 1)
            messages.append((time, native_histogram(time, counts, total)))
        yield TestSeries({"__name__": "native_seconds", "stage": stage}, histograms=messages)

    yield from _kinds_of_native_histograms(rng)


def _kinds_of_native_histograms(rng: random.Random) -> Iterator[TestSeries]:
    """Each kind of bucket and of change that a chunk knows, or that begins a new one."""
    kinds = ("floats", "custom", "negative", "gauge", "grows", "finer", "stale", "hinted")
    for kind in kinds:
        counts = [0] * 9
        total = 0.0
        messages = []
        for index, time in enumerate(_times(240)):
            for _ in range(rng.randrange(0, 6)):
                # a reset, or for a gauge any fall
                bucket = rng.randrange(2 + index // 40) if kind == "grows" else rng.randrange(4)
                counts[bucket] += -1 if kind == "gauge" and counts[bucket] and rng.random() < 0.5 else 1
                total += 0.25 * (bucket + 1)
            if kind in ("custom", "negative") and index == 131:
                counts, total = [0] * 9, 0.0
            if kind == "stale" and index in (60, 61, 200):
                messages.append((time, histogram(time, sum=STALE)))
                continue
            used = counts[: 2 + index // 40] if kind == "grows" else counts[:4]
            messages.append((time, _of_kind(kind, index, time, used, total)))
        yield TestSeries({"__name__": "native_kinds", "kind": kind}, histograms=messages)
    labels = {"__name__": "native_kinds", "kind": "after_floats"}
    floats = [(time, bits(time % 7)) for time in _times(200)]
    later = [(time, native_histogram(time, [1, 2, index], 2.5)) for index, time in enumerate(_times()) if index >= 240]
    yield TestSeries(labels, floats, later)


def _of_kind(kind: str, index: int, time: int, counts: list[int], total: float) -> bytes:
    deltas = [counts[0], *(after - before for before, after in itertools.pairwise(counts))]
    usual: dict[str, Any] = {
        "count_int": sum(counts),
        "sum": bits(total),
        "zero_threshold": bits(2.0**-128),
        "zero_count_int": 0,
        "positive_spans": [(-1, 1), (2, len(counts) - 1)],
        "positive_deltas": deltas,
    }
    match kind:
        case "floats":
            floats = [count * 0.75 for count in counts]
            for name in ("count_int", "zero_count_int", "positive_deltas"):
                del usual[name]
            usual |= {
                "count_float": bits(sum(floats) + index),
                "zero_count_float": bits(float(index)),
                "positive_counts": [bits(count) for count in floats],
            }
        case "custom":
            usual |= {"schema": -53, "custom_values": [0.005, 0.25, 1.5, math.pi], "positive_spans": [(0, 4)]}
            del usual["zero_threshold"], usual["zero_count_int"]
        case "negative":
            usual |= {
                "count_int": 2 * sum(counts) + 3 * index,
                "zero_count_int": 3 * index,
                "zero_threshold": bits(0.003),
                "negative_spans": [(3, 4)],
                "negative_deltas": deltas,
            }
        case "gauge":
            usual["reset_hint"] = 3
        case "finer":
            usual["schema"] = min(8, index // 60)
        case "hinted":
            usual["reset_hint"] = 1 if index % 50 == 49 else 2
    return histogram(time, **usual)


def histogram(time: int, **values: Any) -> bytes:
    """A ``prometheus.Histogram`` of any kind; spans are pairs of offset and length, doubles their bits."""
    spans = {name: values.pop(name, []) for name in ("positive_spans", "negative_spans")}
    message = HistogramBits(**values)
    for name, pairs in spans.items():
        for offset, length in pairs:
            getattr(message, name).add(offset=offset, length=length)
    return bytes(message.SerializeToString()) + varint_field(15, time)


def native_histogram(time: int, counts: list[int], total: float) -> bytes:
    """A ``prometheus.Histogram`` with integer buckets of schema 0 from offset 0."""
    deltas = [counts[0], *(after - before for before, after in itertools.pairwise(counts))]
    span = varint_field(1, 0) + varint_field(2, len(counts))
    return b"".join(
        (
            varint_field(1, sum(counts)),
            encode_varint(3 << 3 | 1) + struct.pack("<d", total),
            encode_varint(5 << 3 | 1) + struct.pack("<d", 0.001),
            varint_field(6, 0),
            bytes_field(11, span),
            bytes_field(12, b"".join(encode_varint((delta << 1) ^ (delta >> 63)) for delta in deltas)),
            varint_field(15, time),
        )
    )
