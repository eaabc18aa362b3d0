"""The dashboard ``quality``: what the gates say, which tests fail and why, what the scans find, which stages fail."""

from grafanalib import core

from jelmon.catalogue import (
    GATE_EVALUATIONS,
    SCAN_FINDINGS,
    SCAN_TIME,
    SCANS_FINISHED,
    STAGE_RUNS_FINISHED,
    TEST_FAILURES,
    TEST_TIME,
    TESTS_FINISHED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.board import Heading, Line, write
from jelmon_generators.dashboards.fields import (
    CHANGE_OF_FAILURES,
    CRITICAL,
    FAILURES,
    GREY,
    OK,
    STAGE_LEGEND,
    TEXT,
    WARNING,
    colours_of,
    go_to,
    override,
    steps,
)
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import Column, graph, stacked_bars, table, tile
from jelmon_generators.dashboards.vital_signs import vital_signs

_HOUR = "1h"
_DAY = "24h"
_RANGE = "$__range"
_FAILED_TESTS = "=~failed|error"
_RUN_TESTS = "!=skipped"
_GATE_ALERT = "gate_failure_rate_high"


def render(limits: Limits) -> tuple[str, str]:
    return write(
        name="quality",
        title="Jelmore / Quality",
        description="What do the gates say, which tests fail and why, what do the scans find, which stages fail?",
        rows=[
            vital_signs(limits),
            Line(4, [_gates_tile(limits), _tests_tile(), _findings_tile(), _scans_tile()]),
            Heading(100, "Quality gates"),
            Line(8, [_gate_failures(limits), _gate_verdicts(), _gates_table(limits)], (9, 7, 8)),
            Heading(101, "Tests"),
            Line(8, [_test_failures(), _test_outcomes(), _test_time()]),
            Line(9, [_failure_bars(), _failure_table()], (14, 10)),
            Heading(102, "Security"),
            Line(8, [_findings(), _findings_table(), _scan_outcomes(), _scan_time()]),
            Heading(103, "Stages that fail"),
            Line(8, [_stage_failures(), _stage_outcomes()]),
        ],
    )


# --- the second line of tiles ---


def _gates_tile(limits: Limits) -> core.Panel:
    def failing(offset: str) -> str:
        return queries.ratio(
            queries.increase(GATE_EVALUATIONS, _HOUR, offset=offset, verdict="failed"),
            queries.increase(GATE_EVALUATIONS, _HOUR, offset=offset),
        )

    return tile(
        8,
        "Failing gates",
        'Share of the last hour\'s gate verdicts that were "failed", and the difference to the hour before in '
        f"percentage points. Above {limits.share(_GATE_ALERT)} an alert fires.",
        [("last hour", failing("")), ("change", queries.difference(failing, _HOUR))],
        unit="percentunit",
        decimals=1,
        levels=limits.approaching(GREY, _GATE_ALERT, ok=OK, warning=WARNING, critical=CRITICAL),
        no_value="no verdicts",
        overrides=[CHANGE_OF_FAILURES],
    )


def _tests_tile() -> core.Panel:
    def failing(offset: str) -> str:
        return queries.ratio(
            queries.increase(TESTS_FINISHED, _HOUR, offset=offset, outcome=_FAILED_TESTS),
            queries.increase(TESTS_FINISHED, _HOUR, offset=offset, outcome=_RUN_TESTS),
        )

    return tile(
        9,
        "Failing tests",
        "Share of the last hour's tests that failed or broke (skipped ones left out), and the difference to the hour "
        "before in percentage points.",
        [("last hour", failing("")), ("change", queries.difference(failing, _HOUR))],
        unit="percentunit",
        decimals=1,
        levels=FAILURES,
        no_value="no tests",
        overrides=[CHANGE_OF_FAILURES],
    )


def _findings_tile() -> core.Panel:
    return tile(
        10,
        "Grave findings, 24 hours",
        "New security findings of the last 24 hours.",
        [(severity, queries.increase(SCAN_FINDINGS, _DAY, severity=severity)) for severity in ("critical", "high")],
        unit="short",
        decimals=0,
        levels=steps(GREY, (0, OK), (0.5, WARNING)),  # an increase is an estimate: 0.98 is one
        no_value="no scans",
        overrides=[
            override("critical", thresholds={"mode": "absolute", "steps": steps(GREY, (0, OK), (0.5, CRITICAL))})
        ],
    )


def _scans_tile() -> core.Panel:
    failing = queries.ratio(
        queries.increase(SCANS_FINISHED, _DAY, outcome=queries.BAD_OUTCOMES),
        queries.increase(SCANS_FINISHED, _DAY, outcome=queries.JUDGED_OUTCOMES),
    )
    return tile(
        11,
        "Failing scans, 24 hours",
        "Share of the last 24 hours' security scans that did not succeed. What they would have found is not known.",
        [("of scans", failing)],
        unit="percentunit",
        decimals=1,
        levels=FAILURES,
        no_value="no scans",
    )


# --- gates ---


def _gate_failures(limits: Limits) -> core.Panel:
    return graph(
        20,
        "Failure ratio by gate",
        'Share of each gate\'s verdicts that were "failed". Above '
        f"{limits.share(_GATE_ALERT)} (dashed) an alert fires.",
        [
            (
                "{{pipeline}} / {{gate}}",
                queries.ratio(
                    queries.rate(GATE_EVALUATIONS, by=("pipeline", "gate"), verdict="failed"),
                    queries.rate(GATE_EVALUATIONS, by=("pipeline", "gate")),
                ),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no verdicts in this time",
        levels=limits.lines(gate_failure_rate_high="orange"),
    )


def _gate_verdicts() -> core.Panel:
    return graph(
        21,
        "Verdicts",
        "What the gates said, at the pace of verdicts per hour.",
        [("{{verdict}}", queries.per_hour(GATE_EVALUATIONS, by=("verdict",)))],
        unit="short",
        axis="verdicts per hour",
        bars=True,
        no_value="no verdicts in this time",
        overrides=colours_of(GATE_EVALUATIONS, "verdict"),
    )


def _gates_table(limits: Limits) -> core.Panel:
    by = ("pipeline", "gate")
    failed = queries.increase(GATE_EVALUATIONS, _RANGE, by=by, verdict="failed")
    every = queries.increase(GATE_EVALUATIONS, _RANGE, by=by)
    return table(
        22,
        "Gates, worst first",
        "The gates over the selected time. A ratio from few verdicts says little: look at their number too.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="gate", label="gate"),
            Column(name="verdicts", query=every, unit="locale", width=90),
            Column(
                name="failed",
                query=queries.ratio(failed, every),
                unit="percentunit",
                levels=limits.approaching(TEXT, _GATE_ALERT, ok=TEXT, warning=WARNING, critical=CRITICAL),
                width=90,
            ),
        ],
        no_value="no verdicts in this time",
        sort_by="failed",
    )


# --- tests ---


def _test_failures() -> core.Panel:
    by = ("category",)
    return graph(
        30,
        "Failure ratio by category",
        "Share of the tests of each category that failed or broke; skipped ones are left out.",
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
        no_value="no tests in this time",
    )


def _test_outcomes() -> core.Panel:
    return graph(
        31,
        "Tests by category and outcome",
        "Tests that ended, at the pace of tests per hour.",
        [("{{category}} {{outcome}}", queries.per_hour(TESTS_FINISHED, by=("category", "outcome")) + " > 0")],
        unit="short",
        axis="tests per hour",
        bars=True,
        no_value="no tests in this time",
    )


def _test_time() -> core.Panel:
    return graph(
        32,
        "Test duration by category, p95",
        "95 % of the tests of the category ran no longer.",
        [("{{category}}", queries.quantile(0.95, TEST_TIME, by=("category",)))],
        unit="s",
        no_value="no tests in this time",
    )


def _failure_bars() -> core.Panel:
    failures = queries.increase(TEST_FAILURES, _RANGE, by=("category", "reason"))
    return stacked_bars(
        33,
        "Failures by category and reason",
        "Failed and broken tests of the selected time: a bar for each category, a part for each class of failure.",
        [("", f"{failures} > 0")],
        row="category\\reason",
        transformations=[
            {
                "id": "groupingToMatrix",
                "options": {"columnField": "reason", "rowField": "category", "valueField": "Value"},
            }
        ],
        unit="short",
        no_value="no failures in this time",
    )


def _failure_table() -> core.Panel:
    by = ("pipeline", "category", "reason")
    return table(
        34,
        "Most frequent failures",
        "The 15 most frequent classes of failure of the selected time, and their share of all failures.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="category", label="category"),
            Column(name="reason", label="reason"),
            Column(
                name="failures", query=f"topk(15, {queries.increase(TEST_FAILURES, _RANGE, by=by)} > 0)", unit="locale"
            ),
            Column(
                name="of all",
                query=f"topk(15, {queries.increase(TEST_FAILURES, _RANGE, by=by)} > 0) / on () group_left () "
                f"{queries.increase(TEST_FAILURES, _RANGE)}",
                unit="percentunit",
            ),
        ],
        no_value="no failures in this time",
        sort_by="failures",
    )


# --- security ---


def _findings() -> core.Panel:
    return graph(
        40,
        "Security findings by severity",
        "New findings that scans reported, at the pace of findings per hour.",
        [("{{severity}}", queries.per_hour(SCAN_FINDINGS, by=("severity",)))],
        unit="short",
        axis="findings per hour",
        bars=True,
        no_value="no scans in this time",
        overrides=colours_of(SCAN_FINDINGS, "severity"),
    )


def _findings_table() -> core.Panel:
    return table(
        41,
        "Findings by scanner",
        "New findings of the selected time, by scanner and severity.",
        [
            Column(name="scanner", label="scanner"),
            Column(name="severity", label="severity"),
            Column(
                name="findings",
                query=f"{queries.increase(SCAN_FINDINGS, _RANGE, by=('scanner', 'severity'))} > 0",
                unit="locale",
            ),
        ],
        no_value="no findings in this time",
        sort_by="findings",
    )


def _scan_outcomes() -> core.Panel:
    return graph(
        42,
        "Scans by outcome",
        "How the scans themselves ended, at the pace of scans per hour.",
        [("{{scanner}} {{outcome}}", queries.per_hour(SCANS_FINISHED, by=("scanner", "outcome")) + " > 0")],
        unit="short",
        axis="scans per hour",
        bars=True,
        no_value="no scans in this time",
    )


def _scan_time() -> core.Panel:
    return graph(
        43,
        "Scan duration by scanner, p95",
        "95 % of the scans ran no longer.",
        [("{{scanner}}", queries.quantile(0.95, SCAN_TIME, by=("scanner",)))],
        unit="s",
        no_value="no scans in this time",
    )


# --- stages ---


def _stage_failures() -> core.Panel:
    return graph(
        50,
        "Failure ratio by stage",
        "Share of each stage's attempts that failed, broke or ran out of time.",
        [
            (
                STAGE_LEGEND,
                queries.ratio(
                    queries.rate(STAGE_RUNS_FINISHED, by=queries.BY_STAGE, outcome=queries.BAD_OUTCOMES),
                    queries.rate(STAGE_RUNS_FINISHED, by=queries.BY_STAGE, outcome=queries.JUDGED_OUTCOMES),
                ),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no attempts in this time",
        links=[
            go_to("jelmore-bottlenecks", "Look at ${__field.labels.stage}", stage="${__field.labels.stage}"),
        ],
    )


def _stage_outcomes() -> core.Panel:
    return graph(
        51,
        "Attempts that did not succeed, by outcome",
        "Attempts of all stages that failed, broke or ran out of time, at the pace of attempts per hour.",
        [("{{outcome}}", queries.per_hour(STAGE_RUNS_FINISHED, by=("outcome",), outcome=queries.BAD_OUTCOMES))],
        unit="short",
        axis="attempts per hour",
        bars=True,
        no_value="no attempts in this time",
        overrides=colours_of(STAGE_RUNS_FINISHED, "outcome"),
    )
