"""Quality gates, tests and security scans."""

from jelmon.catalogue.metric import OUTCOMES, SEVERITIES, TEST_OUTCOMES, VERDICTS, WORK_BUCKETS, Counter, Histogram

GATE_EVALUATIONS = Counter(
    name="jelmore_gate_evaluations_total",
    help="Evaluations of quality gates, by verdict.",
    labels=("pipeline", "gate", "verdict"),
    closed=VERDICTS,
)
TESTS_FINISHED = Counter(
    name="jelmore_tests_finished_total",
    help="Tests that finished, by outcome.",
    labels=("pipeline", "category", "outcome"),
    closed=TEST_OUTCOMES,
)
TEST_TIME = Histogram(
    name="jelmore_test_seconds",
    help="Duration of a test.",
    unit="seconds",
    labels=("pipeline", "category"),
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
)
TEST_FAILURES = Counter(
    name="jelmore_test_failures_total",
    help="Tests that failed or had an error, by class of failure.",
    labels=("pipeline", "category", "reason"),
)
SCANS_FINISHED = Counter(
    name="jelmore_security_scans_finished_total",
    help="Security scans that finished, by outcome.",
    labels=("pipeline", "scanner", "outcome"),
    closed=OUTCOMES,
)
SCAN_TIME = Histogram(
    name="jelmore_security_scan_seconds",
    help="Duration of a security scan.",
    unit="seconds",
    labels=("pipeline", "scanner"),
    buckets=WORK_BUCKETS,
)
SCAN_FINDINGS = Counter(
    name="jelmore_security_findings_total",
    help="Findings reported by security scans, by severity.",
    labels=("pipeline", "scanner", "severity"),
    closed=SEVERITIES,
)
