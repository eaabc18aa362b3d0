"""The quick reader of ``/metrics`` reads what prometheus-client's parser reads."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jelmon_board.sources.exposition import parse

_FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), _FINITE), max_size=5))
def test_any_label_and_value_is_read_as_the_official_parser_does(rows: list[tuple[str, str, float]]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "help", ["a", "b"], registry=registry)
    for first, second, value in rows:
        gauge.labels(_encodable(first), _encodable(second)).set(value)
    text = generate_latest(registry).decode()
    (family,) = text_string_to_metric_families(text)

    assert [(dict(labels), value) for labels, value in parse(text, {"g"}).of("g")] == [
        (sample.labels, sample.value) for sample in family.samples
    ]


@given(st.text(alphabet='g{}="\\, \n1a', max_size=40))
def test_no_text_is_an_error(text: str) -> None:
    parse(text, {"g", "g1"})


def test_series_that_nobody_needs_and_timestamps_are_left_out() -> None:
    samples = parse('# TYPE g gauge\ng{a="x"} 1 1700000000\nother 2\ng 3\n', {"g"})

    assert samples.of("g") == [({"a": "x"}, 1.0), ({}, 3.0)]
    assert samples.by("g", "a") == {("x",): 1.0, ("",): 3.0}


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
