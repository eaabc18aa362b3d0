"""The small language of signals: what it becomes, and what it refuses."""

import pytest

from jelmon_generators.promql.aggregations import AggregationError, Name, compile_value
from jelmon_generators.promql.analysis import Limits, analyse
from jelmon_generators.promql.series import known_series

NAMES = {
    "processing_time_seconds": Name("jelmore_card_processing_seconds"),
    "cards_processed": Name("jelmore_cards_finished_total"),
    "errors_total": Name("jelmore_calls_finished_total", 'outcome=~"failure|error|timeout"'),
    "requests_total": Name("jelmore_calls_finished_total"),
}


@pytest.mark.parametrize(
    ("value", "promql"),
    [
        pytest.param(
            'percentile(processing_time_seconds, 95, "5m")',
            "histogram_quantile(0.95, sum by (job, le, pipeline) (max without (instance, pod) "
            "(rate(jelmore_card_processing_seconds_bucket[5m]))))",
            id="a percentile keeps le",
        ),
        pytest.param(
            'sum(cards_processed, "1h")',
            "sum by (job, pipeline) (max without (instance, pod) (increase(jelmore_cards_finished_total[1h])))",
            id="a sum of a counter is its increase",
        ),
        pytest.param(
            'sum(processing_time_seconds, "1h")',
            "sum by (job, pipeline) (max without (instance, pod) (increase(jelmore_card_processing_seconds_sum[1h])))",
            id="a sum of a histogram is that of what was observed",
        ),
        pytest.param(
            'count(errors_total, "5m") by (target) / count(requests_total, "5m") by (target)',
            "sum by (job, target) (max without (instance, pod) (increase(jelmore_calls_finished_total"
            '{outcome=~"failure|error|timeout"}[5m]))) / (sum by (job, target) (max without (instance, pod) '
            "(increase(jelmore_calls_finished_total[5m]))) > 0)",
            id="a divisor is never 0",
        ),
        pytest.param(
            'avg(cards_waiting, "5m")',
            "avg by (job, pipeline) (max without (instance, pod) (avg_over_time(jelmore_cards_waiting[5m])))",
            id="a metric may be named without its prefix",
        ),
        pytest.param(
            '2 * (max(cards_waiting, "1m") + 1)',
            "2 * (max by (job, pipeline) (max without (instance, pod) (max_over_time(jelmore_cards_waiting[1m]))) + 1)",
            id="numbers and parentheses",
        ),
    ],
)
def test_it_becomes_promql_that_the_catalogue_knows(value: str, promql: str) -> None:
    """The text, and no fault in it."""
    assert compile_value(value, NAMES, ("pipeline",)) == promql
    assert analyse(promql, known_series(), Limits()).faults == ()


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ('percentile(cards_waiting, 95, "5m")', "percentile of a gauge", "only a histogram has percentiles"),
        ('percentile(cards_processed, 95, "5m")', "percentile of a counter", "only a histogram has percentiles"),
        ('avg(cards_processed, "5m")', "avg of a counter", "the mean of a counter is meaningless; use count or rate"),
        ('rate(cards_waiting, "5m")', "rate of a gauge", "only counters and histograms have a rate"),
        ('percentle(cards_waiting, 9, "5m")', "unknown function 'percentle'", "did you mean 'percentile'?"),
        ('count(cards_procesed, "5m")', "unknown metric 'cards_procesed'", "did you mean 'cards_processed'?"),
        ('count(cards_processed, "5m") by (stage)', "jelmore_cards_finished_total has no label 'stage'", None),
        ("count(cards_processed, 5m)", "count: expected a window, found '5'", 'write "5m" or "1h"'),
        ('percentile(processing_time_seconds, 0, "5m")', "percentile: expected a number between 0 and 100", ""),
        ('count(cards_processed, "5m"', "expected ')', found 'the end'", ""),
        ('count(cards_processed, "5m") 3', "unexpected '3'", ""),
        ("count; drop", "unexpected ';'", ""),
        ("", "expected a function, a number or '(', found 'the end'", ""),
    ],
    ids=lambda value: value if isinstance(value, str) and "(" in value else None,
)
def test_it_refuses(value: str, message: str, hint: str | None) -> None:
    """One message that says what is wrong."""
    with pytest.raises(AggregationError) as caught:
        compile_value(value, NAMES, ("pipeline",))

    assert caught.value.message == message
    if hint is not None:
        assert caught.value.hint == hint
