"""Metrics that ``rules/metrics/`` declares are checked, compiled and tested like our own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.cli import main
from jelmon.errors import DefinitionError
from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle


def imported(payments: Path, *flags: str) -> Path:
    """Declare the metrics of the page; return the file."""
    page = str(payments / "page.txt")

    assert main(["metrics", "import", "payments", "--file", page, "--root", str(payments), *flags]) == 0
    return payments / "rules/metrics/payments.yaml"


def refused(payments: Path) -> str:
    """Return why the bundle does not compile."""
    with pytest.raises(DefinitionError) as caught:
        compile_bundle(payments)
    return str(caught.value)


def test_without_a_declaration_nothing_is_known(payments: Path) -> None:
    message = refused(payments)

    assert "rules/signals.yaml" in message
    assert "unknown metric 'payments_requests_total'" in message
    assert "declare those of other services in rules/metrics/" in message


def test_alerts_and_objectives_over_declared_metrics_pass_their_generated_tests(
    payments: Path, tool: Callable[[str], Path]
) -> None:
    """Signals, a combination, an escalation, an objective with its alert on missing data."""
    imported(payments)
    for name, text in generate(payments).items():
        (payments / name).parent.mkdir(parents=True, exist_ok=True)
        (payments / name).write_text(text)
    tests = sorted(path for path in (payments / "rules/tests").rglob("*payments*.yml"))
    done = subprocess.run([tool("promtool"), "test", "rules", *tests], capture_output=True, text=True, check=False)
    objective = (payments / "deploy/prometheus/rules/slo_payments_succeed.yml").read_text()

    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.stem for path in tests} >= {"payments_slow", "payments_wait", "slo_payments_succeed_counts"}
    assert 'up{job=\\"payments\\"} == 1' in objective or 'up{job="payments"} == 1' in objective


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("payments_queue_depth)", "payments_queue_dept)", "did you mean 'payments_queue_depth'?"),
        ("job, method, le", "job, metod, le", "label 'metod' in 'by' does not exist"),
        ('code=~"5.."', 'status=~"5.."', "payments_requests_total has no label 'status'"),
        ("(payments_queue_depth)", "(rate(payments_queue_depth[5m]))", "rate() of a gauge"),
        ("(payments_queue_depth)", "(payments_requests_total)", "raw counter"),
        ("(payments_queue_depth)", "(payments_gc_seconds_sum)", "raw counter"),
        ("(payments_queue_depth)", '(rate(payments_latency_seconds_bucket{le="0.2"}[5m]))', "no bucket with le='0.2'"),
    ],
    ids=[
        *("a slip", "a lost label", "a label of another metric", "a gauge", "a raw counter"),
        *("a part of a summary", "a bucket that does not exist"),
    ],
)
def test_an_expression_is_judged_by_what_is_declared(payments: Path, old: str, new: str, message: str) -> None:
    imported(payments)
    signals = payments / "rules/signals.yaml"
    text = signals.read_text()
    signals.write_text(text.replace(old, new))

    assert old in text
    assert message in refused(payments)


@pytest.mark.parametrize("bound", ["1", "1.0"])
def test_a_bucket_may_be_spelled_as_either_prometheus_does(payments: Path, bound: str) -> None:
    """Before 3.0 what the service writes, since then always with a fraction."""
    imported(payments)
    slos = payments / "rules/slos.yaml"
    slos.write_text(
        slos.read_text()
        .replace('{code=~"5.."}', f'{{le="{bound}"}}')
        .replace("payments_requests_total", "payments_latency_seconds_bucket")
        .replace("valid: payments_latency_seconds_bucket", "valid: payments_latency_seconds_count")
    )

    assert compile_bundle(payments).bundle.slos["payments_succeed"].bad.endswith(f'{{le="{bound}"}}')


def test_a_value_that_a_label_cannot_have_is_refused(payments: Path) -> None:
    """``--closed`` says that a label has no other values than those seen."""
    declared = imported(payments, "--closed", "code")
    signals = payments / "rules/signals.yaml"
    signals.write_text(signals.read_text().replace('code=~"5.."', 'code="404"'))

    assert 'code: ["200", "500"]' in declared.read_text()
    assert "payments_requests_total never has code='404'" in refused(payments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics:\n  a: {type: meter}\n", "unknown value 'meter'"),
        ("metrics:\n  a: {type: gauge, labls: [b]}\n", "did you mean 'labels'?"),
        ("metrics:\n  a-b: {type: gauge}\n", "'a-b' is not the name of a metric"),
        ("metrics:\n  a: {type: gauge, labels: [b-c]}\n", "'b-c' is not the name of a label"),
        ("metrics:\n  a: {type: gauge, labels: [b, b]}\n", "label 'b' is listed twice"),
        ("metrics:\n  a: {type: gauge, buckets: [1]}\n", "a gauge has no buckets"),
        ("metrics:\n  a: {type: histogram, buckets: [2, 1]}\n", "buckets must be in ascending order"),
        ("metrics:\n  a: {type: histogram, buckets: [x]}\n", "'x' is not the bound of a bucket"),
        ("metrics:\n  a: {type: histogram, labels: [le]}\n", "every histogram has the label 'le'"),
        ("metrics:\n  a: {type: gauge, values: {b: [c]}}\n", "values of 'b', which is not among the labels"),
        ("metrics:\n  jelmore_cards_finished_total: {type: gauge}\n", "is in docs/metrics.md"),
        ("metrics: []\n", "expected a mapping"),
    ],
)
def test_a_faulty_declaration_is_refused_with_its_line(bundle: Path, text: str, message: str) -> None:
    (bundle / "rules/metrics").mkdir()
    (bundle / "rules/metrics/a.yaml").write_text(text)
    report = refused(bundle)

    assert "rules/metrics/a.yaml:" in report
    assert message in report


def test_two_services_may_expose_the_same_metric(bundle: Path) -> None:
    """Of the same type; then a query may use the labels of both."""
    (bundle / "rules/metrics").mkdir()
    for name, label in (("a", "x"), ("b", "y")):
        (bundle / f"rules/metrics/{name}.yaml").write_text(
            f"job: {name}\nmetrics:\n  threads: {{type: gauge, labels: [{label}]}}\n"
        )
    series = compile_bundle(bundle).bundle.series["threads"]
    (bundle / "rules/metrics/c.yaml").write_text("metrics:\n  threads: {type: counter}\n")

    assert series.labels == {"job", "instance", "x", "y"}
    assert series.job is None
    assert "metric 'threads' is declared as a counter here and as a gauge before" in refused(bundle)


def test_unknown_metrics_may_be_tolerated_for_a_while(payments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``unknown: warn`` they compile and are named; what is known is checked as ever."""
    settings = payments / "rules/bundle.yaml"
    settings.write_text(settings.read_text() + "unknown: warn\n")
    slos = payments / "rules/slos.yaml"
    slos.write_text(slos.read_text().replace("    absent_after: 30m\n", ""))
    files = generate(payments)
    warnings = capsys.readouterr().err
    signals = payments / "rules/signals.yaml"
    signals.write_text(
        signals.read_text().replace("jelmore_cards_finished_total[5m]", 'jelmore_cards_finished_total{shape="x"}[5m]')
    )

    assert "rules/tests/generated/payments_slow.yml" in files
    assert "unknown metric 'payments_latency_seconds_bucket' is used without any check" in warnings
    assert "jelmore_cards_finished_total has no label 'shape'" in refused(payments)
