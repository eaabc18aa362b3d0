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
    CRITICAL,
    FAILURES,
    GREY,
    OK,
    WARNING,
    colours,
    colours_of,
    override,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.charts import grouped, stacked_bars
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.pies import donut
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import QualityPanel

_HOUR = "1h"

_RANGE = "$__range"

_FAILED_TESTS = "=~failed|error"

_RUN_TESTS = "!=skipped"


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the rows of the tests."""
    return [
        Heading(101, "Tests"),
        Line(8, [_test_failures(), _test_outcomes(), _test_time(), _timeouts(limits)]),
        Line(9, [_categories(), _failure_bars(), _failure_table()], (6, 6, 12)),
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
        f"Share of tests in each category over {queries.WINDOW} that failed or errored, excluding skipped tests.",
        [
            (
                "{{category}}",
                queries.ratio(
                    queries.increase(TESTS_FINISHED, queries.WINDOW, by=by, outcome=_FAILED_TESTS),
                    queries.increase(TESTS_FINISHED, queries.WINDOW, by=by, outcome=_RUN_TESTS),
                ),
            )
        ],
        unit="percentunit",
        no_value="no tests in this time range",
    )


def _test_outcomes() -> core.Panel:
    return graph(
        QualityPanel.TEST_OUTCOMES,
        f"Tests finished in {queries.WINDOW}.",
        [
            (
                "{{category}} {{outcome}}",
                queries.count(TESTS_FINISHED, queries.WINDOW, by=("category", "outcome")) + " > 0",
            )
        ],
        unit="locale",
        axis=f"tests in {queries.WINDOW}",
        bars=True,
        no_value="no tests in this time range",
        overrides=colours_of(TESTS_FINISHED, "outcome", ending=True),
    )


def _test_time() -> core.Panel:
    return graph(
        QualityPanel.TEST_TIME,
        f"95th percentile of test duration over {queries.WINDOW}.",
        [("{{category}}", queries.quantile(0.95, TEST_TIME, by=("category",)))],
        unit="s",
        no_value="no tests in this time range",
    )


def _timeouts(limits: Limits) -> core.Panel:
    window = limits.window("test_execution_timeout", "30m")
    return graph(
        QualityPanel.TIMEOUTS,
        f"Tests that timed out, over {window}. Dashed: alert threshold.",
        [
            (
                "{{pipeline}} / {{category}}",
                queries.count(TEST_FAILURES, window, by=("pipeline", "category"), reason="timeout"),
            )
        ],
        unit="locale",
        axis=f"tests in {window}",
        no_value="no timed-out tests",
        levels=limits.lines(test_execution_timeout="orange"),
    )


def _categories() -> core.Panel:
    return donut(
        QualityPanel.TEST_CATEGORIES,
        "Tests that finished in the selected time range, by category.",
        [("{{category}}", f"{queries.count(TESTS_FINISHED, _RANGE, by=('category',))} > 0")],
        unit="locale",
        no_value="no tests in this time range",
    )


def _failure_bars() -> core.Panel:
    """Return a bar for each category, split by reason.

    Rows keep the order in which they first appear, so the totals come first in the query, largest first; the column
    that they make is removed.
    """
    failures = f"{queries.count(TEST_FAILURES, _RANGE, by=('category', 'reason'))} > 0"
    totals = f'label_replace({queries.count(TEST_FAILURES, _RANGE, by=("category",))} > 0, "reason", "total", "", "")'
    return stacked_bars(
        QualityPanel.TEST_FAILURES,
        "Failed and errored tests in the selected time range: one bar per category, most failures first, split by "
        "failure reason: red for wrong results, orange for lack of time, yellow for tests that fail by chance.",
        [("", f"sort_desc({totals} or topk(30, {failures}))")],
        row="category\\reason",
        transformations=[
            grouped("category", "reason"),
            {"id": "organize", "options": {"excludeByName": {"total": True}, "indexByName": {}, "renameByName": {}}},
        ],
        unit="locale",
        no_value="no failures in this time range",
        overrides=colours(
            {
                "assertion": CRITICAL,
                "failure": CRITICAL,
                "error": "dark-red",
                "crash": "dark-red",
                "timeout": "orange",
                "flaky": WARNING,
                "setup": "light-blue",
            }
        ),
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
                name="failures", query=f"topk(15, {queries.count(TEST_FAILURES, _RANGE, by=by)} > 0)", unit="locale"
            ),
            Column(
                name="share",
                query=f"topk(15, {queries.count(TEST_FAILURES, _RANGE, by=by)} > 0) / on () group_left () "
                f"{queries.count(TEST_FAILURES, _RANGE)}",
                unit="percentunit",
            ),
        ],
        no_value="no failures in this time range",
        sort_by="failures",
    )


def flaky_tests() -> core.Panel:
    """Return the tile of tests that fail by chance."""
    every = queries.count(TEST_FAILURES, "24h")
    return stat(
        QualityPanel.FLAKY_TESTS,
        'Test failures of the last 24 hours that were reported with a reason that begins with "flaky", and their share '
        "of all failures.",
        [
            ("flaky", f"{queries.count(TEST_FAILURES, '24h', reason='=~flaky.*')} or 0 * {every}"),
            ("of failures", queries.ratio(queries.count(TEST_FAILURES, "24h", reason="=~flaky.*"), every)),
        ],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, OK), (1, WARNING)),
        no_value="no failures",
        overrides=[override("of failures", unit="percentunit")],
    )
