"""The text at /metrics: valid in every format, and the format that was asked for."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from jelmon import catalogue as c
from jelmon_exporter.series.text import number
from jelmon_exporter.serving.exposition import Format, accepts_gzip, choose_format, render
from jelmon_exporter.serving.view import View

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "text/plain;version=0.0.4;q=0.4,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param("", Format.TEXT_0_0_4, id="no header"),
        pytest.param("*/*", Format.TEXT_0_0_4, id="anything"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT_0_0_4, id="a browser"),
        pytest.param(PROMETHEUS_2, Format.OPENMETRICS, id="Prometheus 2"),
        pytest.param(PROMETHEUS_3, Format.OPENMETRICS, id="Prometheus 3"),
        pytest.param(PROMETHEUS_PROTOBUF, Format.TEXT_0_0_4, id="protobuf first, which we do not speak"),
        pytest.param("text/plain;version=1.0.0;escaping=allow-utf-8", Format.TEXT_1_0_0, id="text 1.0.0"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;q=0.9", Format.TEXT_0_0_4, id="q decides"
        ),
        pytest.param("application/openmetrics-text;q=0,text/plain", Format.TEXT_0_0_4, id="q=0 refuses"),
        pytest.param("application/openmetrics-text;version=9.9.9-x", Format.TEXT_0_0_4, id="a version nobody knows"),
        pytest.param("application/openmetrics-text;q=many", Format.TEXT_0_0_4, id="a q that is no number"),
    ],
)
def test_choose_format(accept: str, expected: Format) -> None:
    assert choose_format(accept) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", False), ("gzip", True), ("gzip;q=0", False), ("br, gzip;q=0.5", True), ("*", True), ("identity", False)],
)
def test_accepts_gzip(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1e18, "1e+18"),
        (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
        (-2.5, "-2.5"),
    ],
)
def test_number(value: float, expected: str) -> None:
    assert number(value) == expected


@pytest.fixture
def view(say: Any, books: Callable[..., Any]) -> View:
    """A view with awkward label values."""
    shown: View = books().apply(
        say.card_started("a", at=0, pipeline='back\\slash "quote"\nnewline é'),
        say.started("a", "build", at=1),
        say.finished("a", "build", at=1.5),
    )
    return shown


def test_text_is_read_back_as_it_was_meant(view: View) -> None:
    families = {family.name: family for family in parse_text(render(view, Format.TEXT_0_0_4))}
    started = families["jelmore_cards_started"].samples
    run = {sample.name: sample.value for sample in families["jelmore_stage_run_seconds"].samples}

    assert started[0].labels == {"pipeline": 'back\\slash "quote"\nnewline é'}
    assert started[0].value == 1
    assert run["jelmore_stage_run_seconds_sum"] == 0.5
    assert run["jelmore_stage_run_seconds_count"] == 1


def test_openmetrics_is_valid_by_the_reference_parser(view: View) -> None:
    """It checks names, units, bucket order and the end mark."""
    text = render(view, Format.OPENMETRICS) + "# EOF\n"
    families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]

    assert families["jelmore_stage_run_seconds"].unit == "seconds"
    assert families["jelmore_cards_started"].type == "counter"


@pytest.mark.parametrize("form", list(Format), ids=lambda form: form.name)
def test_every_family_is_announced_even_when_empty(form: Format) -> None:
    text = render(View(), form)
    announced = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    expected = {metric.name for metric in c.of_service(c.Service.EXPORTER)}

    if form is Format.OPENMETRICS:
        expected = {name.removesuffix("_total") for name in expected}
    assert announced == expected


def test_promtool_finds_nothing_to_complain_about(view: View, tool: Callable[[str], Path]) -> None:
    result = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=render(view, Format.TEXT_0_0_4),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_a_line_is_rendered_again_only_when_its_value_changes(view: View) -> None:
    before = render(view, Format.TEXT_0_0_4)
    view.update(0, {(c.CARDS_QUEUED.name, ("main",)): 5.0})
    after = render(view, Format.TEXT_0_0_4)

    assert 'jelmore_cards_queued_total{pipeline="main"} 0\n' in before
    assert after == before.replace(
        'jelmore_cards_queued_total{pipeline="main"} 0\n', 'jelmore_cards_queued_total{pipeline="main"} 5\n'
    )


def test_partitions_are_merged_as_their_metric_asks() -> None:
    shown = View()
    shown.update(0, {(c.CARDS_STARTED.name, ("p",)): 2.0, (c.LAST_ACTIVITY.name, ("p",)): 10.0})
    shown.update(1, {(c.CARDS_STARTED.name, ("p",)): 3.0, (c.LAST_ACTIVITY.name, ("p",)): 9.0})
    shown.update(0, {(c.STAGE_OLDEST_WAITING.name, ("p", "s")): 7.0, (c.CARD_WAIT.name, ("p",)): (5, (1, 2))})
    shown.update(1, {(c.STAGE_OLDEST_WAITING.name, ("p", "s")): 4.0, (c.CARD_WAIT.name, ("p",)): (6, (3, 4))})

    assert shown.value(c.CARDS_STARTED, "p") == 5
    assert shown.value(c.LAST_ACTIVITY, "p") == 10
    assert shown.value(c.STAGE_OLDEST_WAITING, "p", "s") == 4
    assert shown.value(c.CARD_WAIT, "p") == (11, (4, 6))

    shown.update(1, {(c.STAGE_OLDEST_WAITING.name, ("p", "s")): None})

    assert shown.value(c.STAGE_OLDEST_WAITING, "p", "s") == 7


def test_half_a_sum_is_never_shown() -> None:
    """Until the values of all partitions are known none is shown: less than before would look like a reset."""
    shown = View(partitions=2)
    shown.update(0, {(c.CARDS_STARTED.name, ("p",)): 2.0})

    assert shown.value(c.CARDS_STARTED, "p") is None

    shown.update(1, {})

    assert shown.value(c.CARDS_STARTED, "p") == 2


def test_durations_show_the_trace_of_an_example(say: Any, books: Callable[..., Any]) -> None:
    """In OpenMetrics only, on the bucket the duration fell into, and the newest of several."""
    one = books()
    for place, trace in enumerate(("a" * 32, "b" * 32, "not a trace id")):
        finish = msgspec.structs.replace(say.finished("x", "build", at=10 * place + 7), traceparent=f"00-{trace}-c-01")
        one.apply(say.started("x", "build", at=10 * place), finish)
    text = render(one.view, Format.OPENMETRICS) + "# EOF\n"
    families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    found = {
        sample.labels["le"]: sample.exemplar
        for sample in families["jelmore_stage_run_seconds"].samples
        if sample.exemplar is not None
    }

    assert list(found) == ["10.0"]
    assert found["10.0"].labels == {"trace_id": "b" * 32}
    assert found["10.0"].value == 7
    assert float(found["10.0"].timestamp) == 1767225617.0
    assert "trace_id" not in render(one.view, Format.TEXT_0_0_4)
