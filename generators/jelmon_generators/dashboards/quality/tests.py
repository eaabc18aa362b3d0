"""Tests on the dashboard ``quality``: which tests fail, and why."""

from grafanalib import core

from jelmon.catalogue import (
    TEST_FAILURES,
    TEST_TIME,
    TESTS_FINISHED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CHANGE_OF_FAILURES,
    FAILURES,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.charts import stacked_bars
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import QualityPanel

_HOUR = "1h"

_RANGE = "$__range"

_FAILED_TESTS = "=~failed|error"

_RUN_TESTS = "!=skipped"


def rows() -> list[Heading | Line]:
    """Return the rows of the tests."""
    return [
        Heading(101, "Tests"),
        Line(8, [_test_failures(), _test_outcomes(), _test_time()]),
        Line(9, [_failure_bars(), _failure_table()], (14, 10)),
    ]


def failed_tests() -> core.Panel:
    def failing(offset: str) -> str:
        return queries.ratio(
            queries.increase(TESTS_FINISHED, _HOUR, offset=offset, outcome=_FAILED_TESTS),
            queries.increase(TESTS_FINISHED, _HOUR, offset=offset, outcome=_RUN_TESTS),
        )

    return stat(
        QualityPanel.FAILED_TESTS,
        "Share of tests in the last hour that failed or errored, excluding skipped tests, and the change from the "
        "hour before in percentage points.",
        [("last hour", failing("")), ("change", queries.difference(failing, _HOUR))],
        unit="percentunit",
        decimals=1,
        levels=FAILURES,
        no_value="no tests",
        overrides=[CHANGE_OF_FAILURES],
    )


def _test_failures() -> core.Panel:
    by = ("category",)
    return graph(
        QualityPanel.TEST_FAILURE_RATIO,
        "Share of tests in each category that failed or errored, excluding skipped tests.",
        [
            (
                "{{category}}",
                queries.ratio(
                    queries.rate(TESTS_FINISHED, by=by, outcome=_FAILED_TESTS),
                    queries.rate(TESTS_FINISHED, by=by, outcome=_RUN_TESTS),
                ),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no tests in this time range",
    )


def _test_outcomes() -> core.Panel:
    return graph(
        QualityPanel.TEST_OUTCOMES,
        "Tests finished per hour.",
        [("{{category}} {{outcome}}", queries.per_hour(TESTS_FINISHED, by=("category", "outcome")) + " > 0")],
        unit="short",
        axis="tests per hour",
        bars=True,
        no_value="no tests in this time range",
    )


def _test_time() -> core.Panel:
    return graph(
        QualityPanel.TEST_TIME,
        "95th percentile of test duration.",
        [("{{category}}", queries.quantile(0.95, TEST_TIME, by=("category",)))],
        unit="s",
        no_value="no tests in this time range",
    )


def _failure_bars() -> core.Panel:
    failures = queries.increase(TEST_FAILURES, _RANGE, by=("category", "reason"))
    return stacked_bars(
        QualityPanel.TEST_FAILURES,
        "Failed and errored tests in the selected time range: one bar per category, split by failure reason.",
        [("", f"{failures} > 0")],
        row="category\\reason",
        transformations=[
            {
                "id": "groupingToMatrix",
                "options": {"columnField": "reason", "rowField": "category", "valueField": "Value"},
            }
        ],
        unit="short",
        no_value="no failures in this time range",
    )


def _failure_table() -> core.Panel:
    by = ("pipeline", "category", "reason")
    return table(
        QualityPanel.FREQUENT_FAILURES,
        "The 15 most frequent failure reasons in the selected time range, and their share of all failures.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="category", label="category"),
            Column(name="reason", label="reason"),
            Column(
                name="failures", query=f"topk(15, {queries.increase(TEST_FAILURES, _RANGE, by=by)} > 0)", unit="locale"
            ),
            Column(
                name="share",
                query=f"topk(15, {queries.increase(TEST_FAILURES, _RANGE, by=by)} > 0) / on () group_left () "
                f"{queries.increase(TEST_FAILURES, _RANGE)}",
                unit="percentunit",
            ),
        ],
        no_value="no failures in this time range",
        sort_by="failures",
    )
