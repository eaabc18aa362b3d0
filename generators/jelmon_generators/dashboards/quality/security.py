"""Security scans on the dashboard ``quality``: what they find, and whether they work."""

from grafanalib import core

from jelmon.catalogue import (
    SCAN_FINDINGS,
    SCAN_TIME,
    SCANS_FINISHED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    FAILURES,
    GREY,
    OK,
    WARNING,
    colours_of,
    override,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import QualityPanel

_DAY = "24h"

_RANGE = "$__range"


def rows() -> list[Heading | Line]:
    """Return the row of the security scans."""
    return [
        Heading(102, "Security"),
        Line(8, [_findings(), _findings_table(), _scan_outcomes(), _scan_time()]),
    ]


def serious_findings() -> core.Panel:
    return stat(
        QualityPanel.SERIOUS_FINDINGS,
        "New critical and high security findings in the last 24 hours.",
        [(severity, queries.increase(SCAN_FINDINGS, _DAY, severity=severity)) for severity in ("critical", "high")],
        unit="short",
        decimals=0,
        levels=steps(GREY, (0, OK), (0.5, WARNING)),  # an increase is extrapolated: 0.98 means 1
        no_value="no scans",
        overrides=[
            override("critical", thresholds={"mode": "absolute", "steps": steps(GREY, (0, OK), (0.5, CRITICAL))})
        ],
    )


def failed_scans() -> core.Panel:
    failing = queries.ratio(
        queries.increase(SCANS_FINISHED, _DAY, outcome=queries.BAD_OUTCOMES),
        queries.increase(SCANS_FINISHED, _DAY, outcome=queries.JUDGED_OUTCOMES),
    )
    return stat(
        QualityPanel.FAILED_SCANS,
        "Share of security scans in the last 24 hours that did not succeed. What they would have found is unknown.",
        [("of scans", failing)],
        unit="percentunit",
        decimals=1,
        levels=FAILURES,
        no_value="no scans",
    )


def _findings() -> core.Panel:
    return graph(
        QualityPanel.FINDINGS,
        "New findings per hour.",
        [("{{severity}}", queries.per_hour(SCAN_FINDINGS, by=("severity",)))],
        unit="short",
        axis="findings per hour",
        bars=True,
        no_value="no scans in this time range",
        overrides=colours_of(SCAN_FINDINGS, "severity"),
    )


def _findings_table() -> core.Panel:
    return table(
        QualityPanel.FINDINGS_BY_SCANNER,
        "New findings in the selected time range, by scanner and severity.",
        [
            Column(name="scanner", label="scanner"),
            Column(name="severity", label="severity"),
            Column(
                name="findings",
                query=f"{queries.increase(SCAN_FINDINGS, _RANGE, by=('scanner', 'severity'))} > 0",
                unit="locale",
            ),
        ],
        no_value="no findings in this time range",
        sort_by="findings",
    )


def _scan_outcomes() -> core.Panel:
    return graph(
        QualityPanel.SCANS,
        "Scans finished per hour.",
        [("{{scanner}} {{outcome}}", queries.per_hour(SCANS_FINISHED, by=("scanner", "outcome")) + " > 0")],
        unit="short",
        axis="scans per hour",
        bars=True,
        no_value="no scans in this time range",
    )


def _scan_time() -> core.Panel:
    return graph(
        QualityPanel.SCAN_TIME,
        "95th percentile of scan duration.",
        [("{{scanner}}", queries.quantile(0.95, SCAN_TIME, by=("scanner",)))],
        unit="s",
        no_value="no scans in this time range",
    )
