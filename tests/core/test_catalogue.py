"""The catalogue keeps Prometheus' naming rules and spells every name once."""

import re

import pytest

from jelmon.catalogue import BY_NAME, BY_SERIES, CATALOGUE, Counter, Gauge, Histogram, Metric

UNITS = ("seconds", "bytes", "ratio")
# set by Prometheus or by service discovery; `le` belongs to histograms
RESERVED = {"job", "instance", "service", "env", "cluster", "owner", "namespace", "pod", "le", "quantile"}

each_metric = pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)


@each_metric
def test_names_are_lower_case_with_prefix(metric: Metric) -> None:
    assert re.fullmatch(r"jelmore_[a-z][a-z0-9_]*", metric.name)


@each_metric
def test_counters_and_only_counters_end_in_total(metric: Metric) -> None:
    assert metric.name.endswith("_total") == isinstance(metric, Counter)


@each_metric
def test_names_do_not_end_like_the_series_of_a_histogram(metric: Metric) -> None:
    assert not metric.name.endswith(("_bucket", "_sum", "_count", "_created"))


@each_metric
def test_a_unit_is_a_base_unit_and_stands_in_the_name(metric: Metric) -> None:
    assert not metric.unit or metric.unit in UNITS
    assert not metric.unit or metric.name.removesuffix("_total").endswith(f"_{metric.unit}")


@each_metric
def test_labels_are_not_those_of_others(metric: Metric) -> None:
    assert set(metric.labels) & RESERVED == set()
    assert len(set(metric.labels)) == len(metric.labels)


@each_metric
def test_closed_sets_are_of_labels_that_exist(metric: Metric) -> None:
    assert set(metric.closed) <= set(metric.labels)


@each_metric
def test_help_is_a_line_that_ends_like_a_sentence(metric: Metric) -> None:
    assert re.fullmatch(r"[A-Z1][^\n]*\.", metric.help)


@pytest.mark.parametrize(
    "metric", [metric for metric in CATALOGUE if isinstance(metric, Histogram)], ids=lambda metric: metric.name
)
def test_buckets_ascend_and_leave_infinity_out(metric: Histogram) -> None:
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.buckets[-1] < float("inf")


def test_no_name_is_declared_twice() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    assert len(BY_SERIES) == sum(len(metric.series) for metric in CATALOGUE)


def test_kinds_are_those_of_the_exposition_format() -> None:
    assert {metric.kind for metric in CATALOGUE} == {"counter", "gauge", "histogram"}
    assert all(isinstance(metric, Counter | Gauge | Histogram) for metric in CATALOGUE)
