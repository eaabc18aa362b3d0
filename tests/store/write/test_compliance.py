"""The cases of the Prometheus compliance suite for receivers, in our own words and stricter: valid means 204.

A receiver that answers 400 to everything passes most of that suite; here a valid request must get 204 with exact
counters, and an invalid one exactly 400 (415 for types and encodings).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from tests.store.conftest import StartStore
from tests.store.write.sender import STALE, V1, V2, Labels, RequestV2, bits, now_ms, v1, v1_series
from tests.store.write.test_v2 import histogram, written

from jelmon_store.wire import messages
from jelmon_store.wire.snappy import compress

HOUR = 3_600_000
LABELS: dict[str, Labels] = {
    "plain": [("__name__", "http_requests_total"), ("job", "test"), ("instance", "a:1")],
    "many": [("__name__", "m"), *((f"label_{i}", f"value_{i}") for i in range(40))],
    "newline": [("__name__", "m"), ("text", "a\nb")],
    "quotes": [("__name__", "m"), ("text", 'a"b\\c')],
    "unicode value": [("__name__", "m"), ("city", "Köln 🐧")],
    "dotted": [("__name__", "http.server.duration"), ("service.name", "x")],
    "spaced": [("__name__", "a metric"), ("a label", "a value")],
    "unsorted": [("z", "1"), ("__name__", "m"), ("a", "2")],
    "empty value": [("__name__", "m"), ("a", "")],
    "name only": [("__name__", "m")],
    "long": [("__name__", "m" * 200), ("a", "v" * 2000)],
}
BAD_LABELS: dict[str, Labels] = {
    "no name": [("job", "test")],
    "no labels": [],
    "twice": [("__name__", "m"), ("a", "1"), ("a", "2")],
    "empty name": [("__name__", "m"), ("", "1")],
    "empty metric name": [("__name__", ""), ("a", "1")],
}
VALUES = {
    "one": bits(1.5),
    "zero": 0,
    "minus zero": bits(-0.0),
    "NaN": bits(math.nan),
    "infinity": bits(math.inf),
    "minus infinity": bits(-math.inf),
    "stale": STALE,
    "smallest": bits(5e-324),
}


@dataclass
class Case:
    """A request of one series or several, and what must be answered."""

    name: str
    series: list[dict[str, Any]]
    counters: tuple[int, int, int]
    status: int = 204
    versions: tuple[str, ...] = ("1.0", "2.0")
    symbols: list[str] = field(default_factory=list)

    def body(self, version: str) -> bytes:
        """The request in one version."""
        if version == "2.0":
            request = RequestV2()
            for one in self.series:
                request.add(**one)
            return request.body()
        return v1(
            *(v1_series(**{key: value for key, value in one.items() if key != "metadata"}) for one in self.series)
        )


def samples() -> Iterator[Case]:
    at = now_ms()
    for kind, labels in LABELS.items():
        for name, value in VALUES.items():
            yield Case(f"{name} with {kind} labels", [{"labels": labels, "samples": [(at, value)]}], (1, 0, 0))
    for kind, labels in BAD_LABELS.items():
        yield Case(f"labels: {kind}", [{"labels": labels, "samples": [(at, bits(1))]}], (0, 0, 0), 400)
    good, bad = {"labels": LABELS["plain"]}, {"labels": BAD_LABELS["no name"]}
    one = {"samples": [(at, bits(1))]}
    yield Case("several samples", [good | {"samples": [(at - i * 1000, bits(i)) for i in range(10)]}], (10, 0, 0))
    yield Case(
        "out of order", [good | {"samples": [(at, bits(1))]}, good | {"samples": [(at - HOUR, bits(1))]}], (2, 0, 0)
    )
    yield Case("the same twice", [good | one, good | one], (2, 0, 0))
    yield Case("two values at one time", [good | one, good | {"samples": [(at, bits(2))]}], (2, 0, 0))
    yield Case("no series", [], (0, 0, 0))
    yield Case("3 of 4", [good | one, bad | one, good | {"samples": [(at + 1, 0), (at + 2, 0)]}], (3, 0, 0), 400)
    yield Case("0 of 2", [bad | one, bad | one], (0, 0, 0), 400)
    yield Case("a series without samples", [good], (0, 0, 0), 400)
    yield Case("far ahead", [good | {"samples": [(at + HOUR, bits(1))]}], (0, 0, 0), 400)
    yield Case("a little ahead", [good | {"samples": [(at + 60_000, bits(1))]}], (1, 0, 0))
    start = {"samples": [(at, bits(1), at - HOUR)]}
    yield Case("start time", [good | start], (1, 0, 0), versions=("2.0",))
    yield Case("start time of a series", [good | one | {"created": at - HOUR}], (1, 0, 0), versions=("2.0",))


def histograms() -> Iterator[Case]:
    at = now_ms()
    labels = LABELS["plain"]
    nothing: dict[str, Any] = {
        key: [] for key in ("positive_spans", "positive_deltas", "negative_spans", "negative_deltas")
    }
    positive: dict[str, Any] = {"negative_spans": [], "negative_deltas": []}
    span = messages.BucketSpan
    floats: dict[str, Any] = {
        "zero_count_float": 2.0,
        "count_float": 7.0,
        "sum": 3.0,
        "schema": 2,
        "zero_threshold": 1e-9,
        "positive_spans": [span(offset=3, length=2)],
        "positive_counts": [1.5, 3.5],
    }
    custom: dict[str, Any] = {
        "count_int": 5,
        "sum": 9.0,
        "schema": -53,
        "custom_values": [1.0, 2.5, 10.0],
        "positive_spans": [span(offset=0, length=3)],
        "positive_deltas": [1, 1, -1],
    }
    custom["count_int"] = 4
    good = {
        "both": histogram(at),
        "positive": histogram(at, count_int=7, **positive),
        "zero only": histogram(at, count_int=2, **nothing),
        "empty": histogram(at, count_int=0, zero_count_int=0, sum=0, **nothing),
        "float": messages.Histogram(timestamp=at, **floats),
        "custom": messages.Histogram(timestamp=at, **custom),
        "NaN observed": histogram(at, count_int=20, sum=math.nan),
        "stale": histogram(at, count_int=0, zero_count_int=0, sum=math.nan, **nothing),
        "start time": histogram(at, start_timestamp=at - HOUR),
        "gauge": histogram(at, reset_hint=3),
        "coarsest": histogram(at, schema=-4),
        "finest": histogram(at, schema=8),
    }
    bad = {
        "wrong count": histogram(at, count_int=13),
        "unknown schema": histogram(at, schema=-9),
        "spans too long": histogram(at, positive_spans=[span(offset=0, length=9)]),
        "negative bucket": histogram(at, count_int=2, positive_deltas=[-1, 1, -1, 0]),
        "span goes back": histogram(at, positive_spans=[span(offset=0, length=2), span(offset=-1, length=2)]),
        "custom with zero bucket": messages.Histogram(timestamp=at, **custom, zero_count_int=1),
        "custom bounds fall": messages.Histogram(timestamp=at, **(custom | {"custom_values": [3.0, 2.0, 1.0]})),
        "float with a negative bucket": messages.Histogram(timestamp=at, **(floats | {"positive_counts": [-1.0, 2.0]})),
        "bounds without custom schema": histogram(at, custom_values=[1.0]),
        "far ahead": histogram(at + HOUR),
    }
    for name, one in good.items():
        yield Case(f"histogram: {name}", [{"labels": labels, "histograms": [one]}], (0, 1, 0))
    for name, one in bad.items():
        yield Case(f"histogram: {name}", [{"labels": labels, "histograms": [one]}], (0, 0, 0), 400)
    several = [histogram(at - i * 1000) for i in range(5)]
    yield Case("several histograms", [{"labels": labels, "histograms": several}], (0, 5, 0))
    yield Case(
        "1 of 2 histograms", [{"labels": labels, "histograms": [bad["wrong count"], good["both"]]}], (0, 1, 0), 400
    )
    both = {"labels": labels, "samples": [(at, bits(1))], "histograms": [good["both"]]}
    yield Case("samples and histograms", [both], (1, 1, 0))


def exemplars() -> Iterator[Case]:
    at = now_ms()
    kinds: dict[str, Labels] = {
        "trace": [("trace_id", "4bf92f3577b34da6")],
        "trace and span": [("trace_id", "4bf92f3577b34da6"), ("span_id", "00f067aa")],
        "none": [],
        "unicode": [("user", "Jürgen 🐧")],
        "many": [(f"l{i}", str(i)) for i in range(10)],
    }
    for kind, labels in kinds.items():
        for name, value in VALUES.items():
            one = {"labels": LABELS["plain"], "samples": [(at, bits(1))], "exemplars": [(labels, at, value)]}
            yield Case(f"exemplar: {name} with labels {kind}", [one], (1, 0, 1))
    times = [(kinds["trace"], at - back, bits(1)) for back in (HOUR, 60_000, 0)]
    yield Case(
        "old and new exemplars", [{"labels": LABELS["plain"], "samples": [(at, 0)], "exemplars": times}], (1, 0, 3)
    )
    alone = {"labels": LABELS["plain"], "exemplars": [(kinds["trace"], at, bits(1))]}
    yield Case("exemplar without sample", [alone], (0, 0, 0), 400)
    of_histogram = {"labels": LABELS["plain"], "histograms": [histogram(at)], "exemplars": times}
    yield Case("exemplars of a histogram", [of_histogram], (0, 1, 3))


def metadata() -> Iterator[Case]:
    at = now_ms()
    for kind in range(8):
        for name, texts in {"text": ("Help.", "seconds"), "nothing": ("", ""), "odd": ('a "b"\n🐧', "a/b")}.items():
            one = {"labels": LABELS["plain"], "samples": [(at, bits(1))], "metadata": (kind, *texts)}
            yield Case(f"metadata: type {kind}, {name}", [one], (1, 0, 0), versions=("2.0",))
    unknown = {"labels": LABELS["plain"], "samples": [(at, bits(1))], "metadata": (99, "x", "")}
    yield Case("metadata: type of the future", [unknown], (1, 0, 0), versions=("2.0",))
    alone = {"labels": LABELS["plain"], "metadata": (1, "x", "")}
    yield Case("metadata without sample", [alone], (0, 0, 0), 400, ("2.0",))
    many = [
        {
            "labels": [("__name__", f"m{i}"), ("job", "x")],
            "samples": [(at, bits(i))],
            "exemplars": [([("trace_id", str(i))], at, bits(i))],
            "metadata": (1 + i % 7, f"Help {i}.", "seconds"),
        }
        for i in range(50)
    ]
    yield Case("50 series of everything", many, (50, 0, 50))
    mixed = [one | {"histograms": [histogram(at)]} for one in many]
    yield Case("50 series of everything, with histograms", mixed, (50, 50, 50))


GROUPS = {"samples": samples, "histograms": histograms, "exemplars": exemplars, "metadata": metadata}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("group", GROUPS)
async def test_compliance(postgres_dsn: str, start_store: StartStore, group: str, version: str) -> None:
    """Every case twice: the second time, its series are known and its samples stored."""
    store = await start_store(postgres_dsn)
    wrong = []
    cases = [case for case in GROUPS[group]() if version in case.versions]
    async with aiohttp.ClientSession() as session:
        for case in [*cases, *cases]:
            headers = {"Content-Type": V2 if version == "2.0" else V1, "Content-Encoding": "snappy"}
            async with session.post(
                f"{store.server.url}/api/v1/write", data=case.body(version), headers=headers
            ) as response:
                found: tuple[Any, ...] = (response.status,)
                expected: tuple[Any, ...] = (case.status,)
                if version == "2.0":
                    found, expected = (*found, written(dict(response.headers))), (*expected, case.counters)
                if found != expected:
                    wrong.append(f"{case.name}: {found} instead of {expected}: {await response.text()}")

    assert not wrong, "\n".join(wrong)
    assert cases


def test_the_tables_have_more_cases_than_the_suite() -> None:
    count = sum(len(case.versions) for group in GROUPS.values() for case in group())

    assert count >= 205


async def test_headers_of_the_suite(postgres_dsn: str, start_store: StartStore) -> None:
    """Types, encodings, and what 1.0 must not answer."""
    store = await start_store(postgres_dsn)
    body = v1(v1_series(LABELS["plain"], [(now_ms(), bits(1))]))
    cases = [
        ({"Content-Type": "application/json"}, b"corrupt", 415),
        ({"Content-Type": "image/png"}, b"corrupt", 415),
        ({"Content-Type": V1, "Content-Encoding": "gzip"}, b"corrupt", 415),
        ({"Content-Type": V1, "Content-Encoding": "deflate"}, b"corrupt", 415),
        ({"Content-Type": V1, "Content-Encoding": "snappy"}, b"\xff" + body, 400),
        ({"Content-Type": V1, "Content-Encoding": "snappy"}, body, 204),
        ({"Content-Type": V1, "X-Prometheus-Remote-Write-Version": "9.9.9", "Content-Encoding": "snappy"}, body, 204),
        ({"Content-Type": V2, "Content-Encoding": "snappy"}, compress(b""), 204),
    ]
    async with aiohttp.ClientSession() as session:
        for headers, data, status in cases:
            async with session.post(f"{store.server.url}/api/v1/write", data=data, headers=headers) as response:
                counters = [name for name in response.headers if name.endswith("-Written")]

                assert (headers, response.status) == (headers, status)
                assert bool(counters) == (headers["Content-Type"] == V2)
        async with session.get(f"{store.server.url}/api/v1/write") as response:
            assert response.status == 405
