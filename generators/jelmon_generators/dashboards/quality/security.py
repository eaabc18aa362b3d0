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
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import QualityPanel

_DAY = "24h"

_RANGE = "$__range"


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row of the security scans."""
    return [
        Heading(102, "Security", collapsed=True),
        Line(8, [_findings(limits), _findings_table(), _failed_scans(limits)]),
        Line(7, [_scan_outcomes(), _scan_time()]),
    ]


def serious_findings() -> core.Panel:
    return stat(
        QualityPanel.SERIOUS_FINDINGS,
        "New critical and high security findings in the last 24 hours.",
        [(severity, queries.count(SCAN_FINDINGS, _DAY, severity=severity)) for severity in ("critical", "high")],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, OK), (1, WARNING)),
        no_value="no scans",
        overrides=[override("critical", thresholds={"mode": "absolute", "steps": steps(GREY, (0, OK), (1, CRITICAL))})],
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


def _findings(limits: Limits) -> core.Panel:
    window = limits.window("security_finding_critical", "1h")
    return graph(
        QualityPanel.FINDINGS,
        f"New findings, over {window}. Dashed: the alert threshold for critical ones.",
        [("{{severity}}", queries.count(SCAN_FINDINGS, window, by=("severity",)))],
        unit="locale",
        axis=f"findings in {window}",
        no_value="no scans in this time range",
        levels=limits.lines(security_finding_critical=CRITICAL),
        overrides=colours_of(SCAN_FINDINGS, "severity"),
    )


def _failed_scans(limits: Limits) -> core.Panel:
    window = limits.window("security_scan_failed", "1h")
    return graph(
        QualityPanel.FAILED_SCANS_OVER_TIME,
        f"Scans that failed, errored or timed out, over {window}. Dashed: alert threshold.",
        [
            (
                "{{pipeline}} / {{scanner}}",
                queries.count(SCANS_FINISHED, window, by=("pipeline", "scanner"), outcome=queries.BAD_OUTCOMES),
            )
        ],
        unit="locale",
        axis=f"scans in {window}",
        no_value="no failed scans",
        levels=limits.lines(security_scan_failed="orange"),
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
                query=f"{queries.count(SCAN_FINDINGS, _RANGE, by=('scanner', 'severity'))} > 0",
                unit="locale",
            ),
        ],
        no_value="no findings in this time range",
        sort_by="findings",
    )


def _scan_outcomes() -> core.Panel:
    return graph(
        QualityPanel.SCANS,
        "Scans finished in the hour before.",
        [("{{scanner}} {{outcome}}", queries.count(SCANS_FINISHED, "1h", by=("scanner", "outcome")) + " > 0")],
        unit="locale",
        axis="scans in 1h",
        bars=True,
        no_value="no scans in this time range",
        overrides=colours_of(SCANS_FINISHED, "outcome", ending=True),
    )


def _scan_time() -> core.Panel:
    return graph(
        QualityPanel.SCAN_TIME,
        "95th percentile of scan duration over the hour before.",
        [("{{scanner}}", queries.quantile(0.95, SCAN_TIME, by=("scanner",), window="1h"))],
        unit="s",
        no_value="no scans in this time range",
    )
