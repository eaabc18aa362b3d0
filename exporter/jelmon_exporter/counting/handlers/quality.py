"""Events about quality: gates, tests and scans. Each handler returns True: such an event repeats nothing."""

from datetime import datetime

from jelmon import catalogue as c
from jelmon.events import GateEvaluated, ScanFinished, TestFinished, TestOutcome
from jelmon_exporter.counting.ledger import Ledger


def gate_evaluated(ledger: Ledger, event: GateEvaluated, _time: datetime) -> bool:
    data = event.data
    pipeline = ledger.label("pipeline", data.pipeline)
    gate = ledger.label("gate", data.gate)
    ledger.outcomes(c.GATE_EVALUATIONS, pipeline=pipeline, gate=gate).add(data.verdict)
    return True


def finished_test(ledger: Ledger, event: TestFinished, _time: datetime) -> bool:
    data = event.data
    pipeline = ledger.label("pipeline", data.pipeline)
    category = ledger.label("category", data.category)
    ledger.outcomes(c.TESTS_FINISHED, pipeline=pipeline, category=category).add(data.outcome)
    if data.duration_seconds is not None:
        ledger.table.cell(c.TEST_TIME, pipeline, category).observe_seconds(data.duration_seconds)
    if data.outcome in (TestOutcome.FAILED, TestOutcome.ERROR):
        reason = ledger.label("reason", data.failure_reason or "unknown")
        ledger.table.cell(c.TEST_FAILURES, pipeline, category, reason).add()
    return True


def scan_finished(ledger: Ledger, event: ScanFinished, _time: datetime) -> bool:
    data = event.data
    pipeline = ledger.label("pipeline", data.pipeline)
    scanner = ledger.label("scanner", data.scanner)
    ledger.outcomes(c.SCANS_FINISHED, pipeline=pipeline, scanner=scanner).add(data.outcome)
    findings = ledger.outcomes(c.SCAN_FINDINGS, pipeline=pipeline, scanner=scanner)
    for severity, number in data.findings.items():
        findings.by_value[severity].add(number)
    if data.duration_seconds is not None:
        ledger.table.cell(c.SCAN_TIME, pipeline, scanner).observe_seconds(data.duration_seconds)
    return True
