"""Which labels come out of an expression, and what is wrong with it."""

import pytest

from jelmon_generators.promql.analysis import Limits, analyse
from jelmon_generators.promql.series import known_series

KNOWN = known_series()


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        pytest.param("jelmore_cards_waiting", "job instance pipeline", id="a selector has the metric's labels"),
        pytest.param("up", "job instance", id="a series of Prometheus itself is known"),
        pytest.param(
            "max without (instance, pod) (up)", "job", id="a label that may be missing can be aggregated away"
        ),
        pytest.param("sum by (job) (rate(jelmore_stage_retries_total[5m]))", "job", id="by keeps what it names"),
        pytest.param("count(up)", "", id="an aggregation without a clause keeps nothing"),
        pytest.param("topk by (job) (3, jelmore_cards_waiting)", "job instance pipeline", id="topk keeps all"),
        pytest.param("time() - jelmore_cards_waiting", "job instance pipeline", id="a scalar adds no labels"),
        pytest.param("vector(1)", "", id="a constant vector has none"),
        pytest.param('absent(up{job="a", instance=~"b|c"})', "job", id="absent knows what is matched by equality"),
        pytest.param('label_replace(vector(1), "pipeline", "x", "", "")', "pipeline", id="label_replace adds a label"),
        pytest.param(
            "histogram_quantile(0.9, sum by (le, stage) (rate(jelmore_stage_run_seconds_bucket[5m])))",
            "stage",
            id="a quantile takes le away",
        ),
        pytest.param(
            "jelmore_stage_queue_depth / on (pipeline) group_left () (max by (pipeline) (jelmore_cards_waiting) > 0)",
            "job instance pipeline stage",
            id="group_left keeps the labels of the many",
        ),
        pytest.param(
            "jelmore_stage_queue_depth and on (pipeline) jelmore_cards_waiting",
            "job instance pipeline stage",
            id="and keeps the left side",
        ),
        pytest.param("max by (a) (label_replace(up, 'a', '', '', '')) or vector(1)", "", id="or keeps what both have"),
    ],
)
def test_labels_are_inferred(expression: str, labels: str) -> None:
    """The labels of the result, as Prometheus would give them."""
    analysis = analyse(expression, KNOWN, Limits())

    assert analysis.faults == ()
    assert analysis.labels == frozenset(labels.split())


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("jelmore_cards_waitin", "unknown metric 'jelmore_cards_waitin'"),
        ("go_goroutines", "unknown metric 'go_goroutines'"),
        ('{__name__=~"jelmore_.*"}', "a selector without a metric name"),
        ('jelmore_cards_waiting{stage="x"}', "jelmore_cards_waiting has no label 'stage'"),
        ("max by (pipeline) (up)", "label 'pipeline' in 'by' does not exist or has been aggregated away"),
        (
            "max without (stage) (jelmore_cards_waiting)",
            "label 'stage' in 'without' does not exist or has been aggregated away",
        ),
        ("rate(jelmore_cards_waiting[5m])", "rate() of a gauge"),
        ("deriv(jelmore_stage_retries_total[5m])", "deriv() of a counter"),
        (
            "rate(jelmore_stage_run_seconds_sum[5m]) / rate(jelmore_stage_run_seconds_count[5m])",
            "this division can be 0/0",
        ),
        ("histogram_quantile(0.9, jelmore_stage_run_seconds_bucket)", "histogram_quantile() of raw buckets"),
        ("jelmore_stage_queue_depth offset 30d", "offset of 30 d is longer than the retention"),
    ],
    ids=lambda value: value if " " in value else None,
)
def test_a_fault_is_found(expression: str, message: str) -> None:
    """One mistake, one message."""
    assert [fault.message for fault in analyse(expression, KNOWN, Limits()).faults] == [message]
