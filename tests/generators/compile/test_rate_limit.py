"""A channel with a rate limit hears all its alerts as one group of Alertmanager, at most once an interval."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon_generators.commands.generate import generate

INTERVAL_SECONDS = 2
PATIENCE = 30.0


@pytest.fixture
def told() -> Iterator[tuple[str, list[tuple[float, dict[str, Any]]]]]:
    """The address of a webhook, and what it was told so far, with the moment."""
    messages: list[tuple[float, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append((time.monotonic(), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", messages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fire(alertmanager: str, rule_id: str, pipeline: str) -> None:
    """Tell Alertmanager of an alert, as Prometheus would."""
    labels = {"alertname": rule_id, "rule_id": rule_id, "severity": "warning", "pipeline": pipeline}
    request = urllib.request.Request(
        f"{alertmanager}/api/v2/alerts",
        data=json.dumps([{"labels": labels}]).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


def test_many_alerts_are_few_messages(
    bundle: Path,
    told: tuple[str, list[tuple[float, dict[str, Any]]]],
    tool: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Two rules and four pipelines, one after the other; an hour is compressed to two minutes."""
    url, messages = told
    rules = bundle / "rules"
    text = (rules / "channels.yaml").read_text().split("  team-mail:")[0]
    text += f'  team-mail: {{type: webhook, url: "{url}", rate_limit: {{max_per_hour: 60}}}}\n  diary: {{type: log}}\n'
    (rules / "channels.yaml").write_text(text + (rules / "channels.yaml").read_text().split("{type: log}\n")[1])
    alerts = (rules / "alerts/all.yaml").read_text()
    third = "    duration_minutes: 3\n    severity: "
    alerts = alerts.replace(f"{third}info", f"{third}warning\n    channels: [team-mail]")
    (rules / "alerts/all.yaml").write_text(alerts)
    config = tmp_path / "alertmanager.yml"
    text = generate(bundle)["alertmanager/alertmanager.yml"].replace('templates: ["templates/*.tmpl"]\n', "")
    limited = text.index('receiver: "team-mail"')
    route = text[limited:].split("    - matchers")[0]
    assert 'group_interval: "1m"' in route
    config.write_text(text.replace(route, route.replace('"1m"', f'"{INTERVAL_SECONDS}s"').replace('"30s"', '"0s"')))

    with Processes(tmp_path / "logs") as processes:
        server = launch.alertmanager(processes, tool("alertmanager"), tmp_path / "data", config)
        begun = time.monotonic()
        for number in range(8):
            fire(server, ("queue_long", "no_cpu_figures")[number % 2], f"pipeline-{number // 2}")
        deadline = time.monotonic() + PATIENCE
        while max((len(message["alerts"]) for _, message in messages), default=0) < 8:
            assert time.monotonic() < deadline, messages
            time.sleep(0.05)
        elapsed = time.monotonic() - begun

    assert len({message["groupKey"] for _, message in messages}) == 1
    assert len(messages) <= 2 + elapsed / INTERVAL_SECONDS
