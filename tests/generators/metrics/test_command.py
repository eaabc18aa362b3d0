"""``jelmon metrics``: importing again changes nothing, and a difference from what is exposed is reported."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes

_METRICS = 2000


def run(action: str, root: Path, *flags: str) -> int:
    """Run the command for the service ``payments``."""
    return main(["metrics", action, "payments", "--root", str(root), *flags])


def test_importing_again_changes_nothing_and_keeps_what_people_added(payments: Path) -> None:
    file, page = payments / "rules/metrics/payments.yaml", str(payments / "page.txt")
    assert run("import", payments, "--file", page) == 0
    first = file.read_text()
    labels = "    labels: [code, method]\n"
    added = f'    unit: "requests"\n{labels}    values:\n      method: ["GET", "POST"]\n'
    edited = first.replace(labels, added)
    assert edited != first
    file.write_text(edited)

    assert run("import", payments, "--file", page) == 0
    assert file.read_text() == edited
    assert run("check", payments, "--file", page) == 0


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "# TYPE payments_queue_depth gauge",
            "# TYPE payments_queue_depth counter",
            "declared as gauge, exposed as counter",
        ),
        ('payments_queue_depth{queue="card"}', 'payments_queue_depth{lane="card"}', "exposed with the label 'lane'"),
        ('le="0.3"', 'le="0.4"', "payments_latency_seconds: declared and exposed buckets differ"),
        ('code="500"', 'code="503"', "payments_requests_total: code='503' is not among the declared values"),
        ("payments_queue_depth", "payments_line_depth", "payments_queue_depth: not exposed"),
    ],
    ids=["another type", "another label", "another bucket", "another value", "gone"],
)
def test_a_difference_is_reported(
    payments: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: str
) -> None:
    page = payments / "page.txt"
    assert run("import", payments, "--file", str(page), "--closed", "code") == 0
    page.write_text(page.read_text().replace(old, new))
    capsys.readouterr()

    assert run("check", payments, "--file", str(page)) == 1
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "write either --file or --prometheus.url"),
        (("--file", "nowhere.txt"), "cannot read nowhere.txt"),
    ],
)
def test_wrong_use_is_explained(
    bundle: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert run("import", bundle, *flags) > 0
    assert message in capsys.readouterr().err


def test_a_page_that_is_none_names_the_line(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = bundle / "page.txt"
    page.write_text("a 1\n<html>\n")

    assert run("import", bundle, "--file", str(page)) == 2
    assert f"{page}:2: neither a comment nor a sample" in capsys.readouterr().err


@pytest.fixture
def large_service() -> Iterator[int]:
    """A service with 2,000 metrics; its port."""
    one = '# HELP m_{n} Number {n}.\n# TYPE m_{n} gauge\nm_{n}{{a="b"}} {n}\n'
    body = "".join(one.format(n=number) for number in range(_METRICS)).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_running_prometheus_is_asked(
    bundle: Path, large_service: int, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """2,000 metrics in one request for the series and one for their types; again without a change."""
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: payments\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{large_service}']}}]\n"
    )
    with Processes(tmp_path / "logs") as children:
        url = launch.prometheus(children, tool("prometheus"), tmp_path / "data", config)
        deadline = time.monotonic() + 120
        while run("import", bundle, "--prometheus.url", url) and time.monotonic() < deadline:
            time.sleep(0.2)  # until the first scrape
        file = bundle / "rules/metrics/payments.yaml"
        first = file.read_text()

        assert first.count("type: gauge") >= _METRICS
        assert '  m_7:\n    type: gauge\n    help: "Number 7."\n    labels: [a]\n' in first
        assert run("import", bundle, "--prometheus.url", url) == 0
        assert file.read_text() == first
        assert run("check", bundle, "--prometheus.url", url) == 0
