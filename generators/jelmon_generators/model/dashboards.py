"""The dashboards and their panels: what an alert can link to.

Ids are stable: links in alerts, runbooks and bookmarks use them. Each id and title is declared here only; the
dashboards refer to the member.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from functools import cache
from typing import Protocol


class Panel(Protocol):
    """A panel: its id, unique within a dashboard, and its title."""

    @property
    def number(self) -> int: ...

    @property
    def title(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ObjectivePanel:
    """A panel of an objective in ``rules/slos.yaml``."""

    number: int
    title: str


class DeclaredPanel(Enum):
    """A panel that every project has."""

    number: int
    title: str

    def __init__(self, number: int, title: str) -> None:
        self.number = number
        self.title = title


@unique
class OverviewPanel(DeclaredPanel):
    """The tiles at the top of every dashboard."""

    IN_FLIGHT = 1, "In flight"
    CARDS_FINISHED = 2, "Finished, 1 h"
    SUCCESS_RATE = 3, "Success rate"
    PROCESSING_TIME = 4, "Processing time, p95"
    LAST_ACTIVITY = 5, "Inactivity"
    FIRING_ALERTS = 6, "Firing alerts"
    DATA_AGE = 7, "Data age"


@unique
class PipelinePanel(DeclaredPanel):
    """The dashboard ``pipeline``."""

    VELOCITY = 10, "Velocity"
    CARD_OUTCOMES = 11, "Finished cards by outcome"
    IN_PROGRESS = 12, "In progress and waiting"
    PROCESSING_TIME = 13, "Card processing time"
    WAIT_TIME = 14, "Card wait time"
    INACTIVITY = 15, "Inactivity by pipeline, share of its limit"
    QUEUE_DEPTH = 20, "Queue depth by stage"
    OLDEST_WAITING = 21, "Oldest waiting card by stage"
    RUNNING = 22, "Running attempts by stage"
    QUEUE_TIME = 23, "Queue time by stage, p95"
    RUN_TIME = 24, "Run time by stage, p95"
    RETRIES = 25, "Retries by stage"
    ALERTS_OVER_TIME = 30, "Alerts over time"
    ALERTS_FIRING = 31, "Alerts firing now"
    SERVICES = 40, "Service probes"
    CALL_TIME = 41, "Service call duration, p95"
    CALL_ERRORS = 42, "Service call errors"
    CALL_FAILURES = 44, "Failure ratio of service calls"
    SESSIONS = 43, "Active sessions"
    HOST_RESOURCES = 50, "CPU, memory, swap"
    DISKS = 51, "Disk space and disk I/O"
    LOAD = 52, "Load per CPU"
    NETWORK = 53, "Network traffic"
    EVENTS = 60, "Events counted"
    EVENTS_NOT_COUNTED = 61, "Events not counted or counted late"
    CONSUMER_LAG = 62, "Consumer lag"
    LAST_EVENT = 63, "Time since the last event"
    HEALTH = 70, "Health score"
    POINTS_LOST = 71, "Points lost"
    HEALTH_COMPONENTS = 72, "Health components"
    HEALTH_OVER_TIME = 73, "Health over time"
    CHANGES = 80, "Changes from baseline"
    WARNINGS = 81, "Early warnings and severe regressions"
    REGRESSION_SIZE = 82, "Size of regressions"
    BASELINE = 83, "Processing time of $pipeline and its baseline"
    CHECKS = 90, "Checks of the monitoring"
    EXPORTER_AGE = 91, "Age of the exporter's data"
    ANALYZER_AGE = 92, "Age of the analyzers' results"
    STORE_AGE = 93, "Age of the store's newest samples"
    IRREGULARITIES = 94, "Resets, stream changes, label overflow, last hour"
    STORE_QUEUE = 95, "Store queue in use"
    STORE_REJECTED = 96, "Samples that the store refused, 15 minutes"
    RULE_FAULTS = 97, "Rule evaluations that failed or were missed, 5 minutes"
    UNDELIVERED = 98, "Alerts that reached no Alertmanager, 5 minutes"
    NOTIFICATION_FAULTS = 99, "Notifications that failed or were refused"
    SILENCES = 110, "Time until silences end"
    BASELINES_MISSING = 111, "Signals without a baseline"
    STORE_MAINTENANCE = 112, "Age of the store's maintenance"
    PIPELINES = 120, "Pipelines"
    TREND_CARDS = 121, "Cards per hour, 24 hours"
    TREND_SUCCESS = 122, "Success rate, 24 hours"
    TREND_TIME = 123, "Mean processing time, 24 hours"
    RESOURCES = 124, "CPU, memory, disk now"
    STAGE_PERFORMANCE = 125, "Run time by stage, last hour: p50, p95, p99 and limit"
    ACTIVE_BOTTLENECKS = 126, "Active bottlenecks"
    QUALITY_METRICS = 127, "Quality, last 24 hours"
    PROCESSING_BUCKETS = 128, "Cards by processing time"
    ALERT_HISTORY = 129, "Alert history"


@unique
class QualityPanel(DeclaredPanel):
    """The dashboard ``quality``."""

    FAILED_GATES = 8, "Failed gates"
    FAILED_TESTS = 9, "Failed tests"
    SCORE = 12, "Quality score, 24 hours"
    FLAKY_TESTS = 13, "Flaky tests, 24 hours"
    SERIOUS_FINDINGS = 10, "Serious findings, 24 hours"
    FAILED_SCANS = 11, "Failed scans, 24 hours"
    GATE_FAILURES = 20, "Failure ratio by gate"
    GATE_VERDICTS = 21, "Gate verdicts"
    GATES = 22, "Gates by failure ratio"
    TEST_FAILURE_RATIO = 30, "Failure ratio by test category"
    TEST_OUTCOMES = 31, "Tests by category and outcome"
    TEST_TIME = 32, "Test duration by category, p95"
    TEST_FAILURES = 33, "Test failures by category and reason"
    FREQUENT_FAILURES = 34, "Most frequent test failures"
    TIMEOUTS = 35, "Timed-out tests, 30 minutes"
    FINDINGS = 40, "Security findings by severity, last hour"
    FINDINGS_BY_SCANNER = 41, "Security findings by scanner"
    SCANS = 42, "Scans by outcome"
    SCAN_TIME = 43, "Scan duration by scanner, p95"
    FAILED_SCANS_OVER_TIME = 44, "Failed scans, last hour"
    GATE_STATUS = 23, "Gate status"
    GATE_HISTORY = 24, "Gate status over time"
    TEST_CATEGORIES = 36, "Tests by category"
    STAGE_FAILURES = 50, "Failure ratio by stage"
    TRENDS = 60, "Pass rates and targets, 7 days"
    TREND_FAILURES = 61, "Failed cards, tests and gates per hour, 7 days"
    WATERFALL = 62, "Execution waterfall of a mean card, last hour"
    WATERFALL_STEPS = 63, "Steps of a mean card, last hour"
    RECOMMENDATIONS = 64, "Recommendations"
    SAVINGS = 65, "Open suggestions by expected saving"
    FAILED_ATTEMPTS = 51, "Failed attempts by outcome"


@unique
class BottlenecksPanel(DeclaredPanel):
    """The dashboard ``bottlenecks``."""

    LONGEST_QUEUE = 8, "Longest queue"
    LONGEST_WAIT = 9, "Longest wait"
    BUSIEST_STAGE = 10, "Busiest stage"
    BLOCKED_CARDS = 11, "Blocked cards"
    SEVERITY_NOW = 12, "Bottleneck severity"
    LIMITING_STAGE = 13, "Limiting stage"
    QUEUE_DEPTH = 20, "Queue depth"
    QUEUE_TIME = 21, "Queue time, p95"
    OLDEST_WAITING = 22, "Longest wait by stage"
    STAGES = 23, "Stage overview"
    TIME_PER_CARD = 24, "Time per card by stage"
    UTILIZATION = 30, "Worker utilization"
    THROUGHPUT = 31, "Throughput"
    RUN_TIME = 32, "Run time, p95, and limit"
    BLOCKED = 33, "Blocked by the next stage"
    QUEUE_UTILIZATION = 34, "Queue utilization"
    EXPECTED_WAIT = 35, "Expected wait for new cards"
    OLDEST_RUNNING = 36, "Longest-running attempt, share of its limit"
    SEVERITY = 40, "Severity by stage"
    OVERALL_SEVERITY = 41, "Overall severity"
    IMPACT = 42, "Impact by stage"
    SEVERITY_DAY = 43, "Severity, last 24 hours"
    GAIN = 44, "Potential gain by stage"
    LIMITING_STAGES = 45, "Limiting stages"
    CASCADE_RISK = 46, "Cascade risk"
    EPISODES = 47, "Bottleneck episodes"
    IMPACT_DAY = 48, "Impact, last 24 hours"
    GAIN_DAY = 49, "Potential gain, last 24 hours"
    DRIVERS = 50, "Drivers of slow cards"
    DRIVERS_OVER_TIME = 51, "Drivers of slow cards over time"
    CONTENTION = 52, "Resource contention"
    SUGGESTIONS = 53, "Open suggestions"
    STRATEGIES = 54, "Results by strategy"
    WITHHELD = 55, "Verdicts withheld, last hour"
    SEVERITIES = 60, "Stages by severity"
    CRITICAL = 61, "Bottlenecks now"
    IMPACT_WEEK = 62, "Time lost by stage, 7 days"
    BUBBLES = 63, "Impact and frequency, 7 days"
    STRATEGY_MATRIX = 64, "Success rate of strategies by pipeline"
    RADAR = 65, "Utilization, now and a week ago"
    UTILIZATION_NOW = 66, "Utilization by resource"
    ACTIONS = 67, "Automated actions"
    ACTION_LOG = 68, "Action log"


DASHBOARD_UIDS = {
    "pipeline": "jelmore-pipeline",
    "quality": "jelmore-quality",
    "bottlenecks": "jelmore-bottlenecks",
}
_PANELS: Mapping[str, type[DeclaredPanel]] = {
    "pipeline": PipelinePanel,
    "quality": QualityPanel,
    "bottlenecks": BottlenecksPanel,
}


@cache
def panels_of(dashboard: str, objectives: tuple[str, ...] = ()) -> Mapping[str, int]:
    """Return the ids of a dashboard's panels by title; ``objectives`` are the names of those that it shows.

    Raises:
        KeyError: there is no such dashboard.
    """
    panels: list[Panel] = [panel for kind in (OverviewPanel, _PANELS[dashboard]) for panel in kind]
    if dashboard == OBJECTIVES_DASHBOARD:
        panels += [panel for name in objectives for panel in objective_panels(name)[1:]]
    return {panel.title: panel.number for panel in panels}


OBJECTIVES_DASHBOARD = "quality"
_FIRST_OBJECTIVE_ID = 1000


def objective_panels(name: str) -> tuple[int, ObjectivePanel, ObjectivePanel, ObjectivePanel, ObjectivePanel]:
    """Return the id of an objective's heading, and its panels: figures, burn, budget, what is counted.

    The ids depend on the name only, so that links stay valid when another objective is added.
    """
    first = _FIRST_OBJECTIVE_ID + 10 * (zlib.crc32(name.encode()) % 100_000)
    titles = (
        f"Objective {name}",
        f"Burn of {name}, share of the alert's threshold",
        f"Budget of {name}",
        f"Counted by {name}",
    )
    figures, burn, budget, counted = (ObjectivePanel(first + index, title) for index, title in enumerate(titles, 1))
    return first, figures, burn, budget, counted
