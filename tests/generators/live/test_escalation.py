"""The whole way with a real Prometheus and Alertmanager, time compressed: a minute of escalation takes a second or two.

A definition is compiled and loaded; the alert escalates to the right receivers at the right moments, through a restart
of Prometheus; all levels resolve together; the definition is edited and reloaded, and a window silences it.
"""

import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port

PATIENCE = 60.0
LEVEL_SECONDS = (3.0, 9.0)
METRIC = 'jelmore_stage_queue_depth{{pipeline="checkout",stage="tests"}} {}\n'


class Site:
    """A page to scrape, and a receiver that records who was notified of what, and when."""

    def __init__(self) -> None:
        self.value = 99
        self.notified: list[tuple[datetime, str, str, str]] = []  # since when or until when, channel, status, level
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(METRIC.format(site.value).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    level = alert["labels"].get("escalation_level", "")
                    moment = alert["startsAt" if alert["status"] == "firing" else "endsAt"]
                    said = datetime.fromisoformat(re.sub(r"\.\d+", "", moment))  # nanoseconds are too fine for us
                    site.notified.append((said, self.path.strip("/"), alert["status"], level))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def first(self, channel: str, status: str, level: str) -> datetime | None:
        """The moment of the first such alert, by Prometheus' clock: how slow we are does not matter."""
        return next((when for when, *rest in self.notified if rest == [channel, status, level]), None)


@pytest.fixture
def site() -> Iterator[Site]:
    """The page and the receiver, served."""
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever)
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        thread.join()
        site.server.server_close()


def wait(condition: Callable[[], Any], what: str) -> Any:
    """Poll until it is true; what it gives."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return value


def post(url: str) -> None:
    """An empty POST."""
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10):
        pass


def compressed(bundle: Path, address: str) -> None:
    """The small bundle with seconds for minutes and our receivers."""
    rules = bundle / "rules"
    (rules / "bundle.yaml").write_text("evaluation_interval: 1s\nscrape_interval: 1s\nretention: 10d\n")
    channels = {name: {"type": "webhook", "url": f"http://{address}/{name}"} for name in ("responder", "mate", "lead")}
    route = {"group_wait": "0s", "group_interval": "1s"}
    routing = dict.fromkeys(("watchdog", "escalation", "critical", "warning", "info"), route)
    escalation = {"group_by": ["alertname", "escalation_level"], **route}
    routes = {"everywhere": ["responder"], **routing, "escalation": escalation}
    (rules / "channels.yaml").write_text(json.dumps({"channels": channels, "routing": routes}))
    levels = [
        {"minutes": seconds / 60, "channels": [name], "escalate_to": name}
        for seconds, name in zip(LEVEL_SECONDS, ("mate", "lead"), strict=True)
    ]
    standard = {"description": "Mate, then lead.", "levels": levels}
    (rules / "escalations.yaml").write_text(json.dumps({"escalations": {"standard": standard}}))
    alert = {
        "rule_id": "queue_long",
        "summary": "long",
        "description": "long",
        "metric_path": "queue_depth",
        "operator": "gt",
        "threshold": 20,
        "duration_minutes": 2 / 60,
        "severity": "critical",
        "escalation": "standard",
    }
    (rules / "alerts/all.yaml").write_text(json.dumps({"alerts": [alert]}))
    (rules / "windows.yaml").unlink()


def prometheus_config(bundle: Path, address: str, alertmanager: str) -> Path:
    """Scrape our page as the exporter; load the rendered rules."""
    path = bundle / "prometheus.yml"
    config = {
        "global": {"scrape_interval": "1s"},
        "rule_files": ["deploy/prometheus/rules/*.yml"],
        "scrape_configs": [{"job_name": "jelmon-exporter", "static_configs": [{"targets": [address]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]},
    }
    path.write_text(json.dumps(config))
    return path


def test_edited_compiled_reloaded_escalated_restarted_silenced(
    bundle: Path, site: Site, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """One story, because its parts share the servers."""
    compressed(bundle, site.address)
    assert main(["generate", "--root", str(bundle)]) == 0
    port = free_port()
    with Processes(tmp_path / "logs") as others, Processes(tmp_path / "logs2") as restarted:
        alertmanager = launch.alertmanager(
            others, tool("alertmanager"), tmp_path / "am", bundle / "alertmanager/alertmanager.yml"
        )
        config = prometheus_config(bundle, site.address, alertmanager)

        def start() -> str:
            return launch.prometheus(restarted, tool("prometheus"), tmp_path / "prometheus", config, port=port)

        start()
        base = wait(lambda: site.first("responder", "firing", ""), "the base alert")
        first = wait(lambda: site.first("mate", "firing", "1"), "level 1")
        restarted.stop()
        url = start()
        second = wait(lambda: site.first("lead", "firing", "2"), "level 2 after a restart")

        # a slow machine evaluates rules late: a level may be late as well, never early (fractions are cut off)
        for level, seconds in zip((first, second), LEVEL_SECONDS, strict=True):
            assert seconds - 1 <= (level - base).total_seconds() < seconds + PATIENCE
        assert site.first("mate", "firing", "2") is None
        assert site.first("lead", "firing", "1") is None

        site.value = 10
        ended = [
            wait(partial(site.first, channel, "resolved", level), f"level {level} resolved")
            for channel, level in (("responder", ""), ("mate", "1"), ("lead", "2"))
        ]
        assert (max(ended) - min(ended)).total_seconds() <= 1  # in one evaluation

        window = {
            "description": "Test",
            "owner": "test",
            "matchers": {"pipeline": "checkout"},
            "starts": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
            "duration": "1h",
        }
        (bundle / "rules/windows.yaml").write_text(json.dumps({"windows": {"now": window}}))
        assert main(["silences", "sync", "--root", str(bundle), "--alertmanager.url", alertmanager]) == 0
        notified = len(site.notified)
        alerts = bundle / "rules/alerts/all.yaml"
        alerts.write_text(alerts.read_text().replace('"threshold": 20', '"threshold": 50'))
        assert main(["generate", "--root", str(bundle)]) == 0
        post(f"{url}/-/reload")

        def discovered() -> bool:  # for five seconds after a reload Prometheus knows no Alertmanager and drops alerts
            with urllib.request.urlopen(f"{url}/api/v1/alertmanagers", timeout=5) as answer:
                return bool(json.load(answer)["data"]["activeAlertmanagers"])

        wait(discovered, "Prometheus knows Alertmanager again")
        site.value = 60

        def suppressed() -> bool:
            with urllib.request.urlopen(f"{alertmanager}/api/v2/alerts?silenced=true", timeout=5) as answer:
                found = json.load(answer)
            return any(one["status"]["state"] == "suppressed" for one in found)

        wait(suppressed, "the alert is silenced")
        assert [status for _, _, status, _ in site.notified[notified:] if status == "firing"] == []
