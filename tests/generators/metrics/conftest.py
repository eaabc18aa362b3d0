"""A page of a service that is not ours, and definitions over its metrics."""

from pathlib import Path

import pytest

PAGE = """\
# HELP payments_requests_total Requests, by method and status.
# TYPE payments_requests_total counter
payments_requests_total{method="GET",code="200"} 41
payments_requests_total{method="POST",code="500"} 2
# HELP payments_latency_seconds Time to answer.
# TYPE payments_latency_seconds histogram
payments_latency_seconds_bucket{method="GET",le="0.1"} 30
payments_latency_seconds_bucket{method="GET",le="0.3"} 40
payments_latency_seconds_bucket{method="GET",le="1"} 41
payments_latency_seconds_bucket{method="GET",le="+Inf"} 41
payments_latency_seconds_sum{method="GET"} 4.2
payments_latency_seconds_count{method="GET"} 41
# HELP payments_queue_depth Payments that wait.
# TYPE payments_queue_depth gauge
payments_queue_depth{queue="card"} 3
# TYPE payments_gc_seconds summary
payments_gc_seconds{quantile="0.5"} 0.001
payments_gc_seconds_sum 0.2
payments_gc_seconds_count 99
"""
SIGNALS = """\
  payment_errors:
    description: Share of requests that fail.
    unit: ratio
    direction: up
    range: {min: 0, max: 1}
    expr: |
      sum by (job, method) (max without (instance, pod) (increase(payments_requests_total{code=~"5.."}[5m])))
      / (sum by (job, method) (max without (instance, pod) (increase(payments_requests_total[5m]))) > 0)
  payment_latency_p95:
    description: What 95 % of the requests take at most.
    unit: seconds
    direction: up
    expr: |
      histogram_quantile(0.95, sum by (job, method, le) (
        max without (instance, pod) (rate(payments_latency_seconds_bucket[5m]))))
  payments_waiting:
    description: Payments that wait.
    unit: payments
    direction: up
    expr: max without (instance, pod) (payments_queue_depth)
"""
ALERTS = """\
  - rule_id: payments_slow
    summary: Payments by {{ $labels.method }} are slow
    description: "{{ $value | humanizeDuration }}"
    all:
      - {metric_path: payment_latency_p95, operator: gt, threshold: 0.5}
      - {metric_path: payment_errors, operator: gt, threshold: 0.01}
    severity: critical
    escalation: standard
    duration_minutes: 5
  - rule_id: payments_wait
    summary: Payments wait in {{ $labels.queue }}
    description: "{{ $value }}"
    metric_path: payments_waiting
    operator: gt
    threshold: 100
    severity: warning
    duration_minutes: 5
"""
SLOS = """\
  payments_succeed:
    title: Payments succeed
    objective: 0.999
    period: 7d
    valid: payments_requests_total
    bad: payments_requests_total{code=~"5.."}
    by: [method]
    absent_after: 30m
"""


@pytest.fixture
def payments(bundle: Path) -> Path:
    """The small bundle with definitions over metrics of a service called payments, which nothing declares yet."""
    for path, more in (("signals.yaml", SIGNALS), ("alerts/all.yaml", ALERTS), ("slos.yaml", SLOS)):
        file = bundle / "rules" / path
        file.write_text(file.read_text() + more)
    objective = [f"PaymentsSucceed{what}" for what in ("NoData", "BudgetBurnFast", "BudgetBurnSlow")]
    for name in ("PaymentsSlow", "PaymentsWait", *objective):
        (bundle / f"docs/runbooks/{name}.md").write_text(f"# {name}\n")
    (bundle / "page.txt").write_text(PAGE)
    return bundle
