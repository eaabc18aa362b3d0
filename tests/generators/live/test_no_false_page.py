"""Our own rules on a real Prometheus, with a second for 15: no page for an idle pipeline, and none missed.

Groups are evaluated at offsets of their own, which depend on where the rule files are: every start uses another folder,
and so staggers them differently.
"""

import json
import shutil
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port

PATIENCE = 60.0
PIPELINES = 20
STARTS = 2
GAP_SECONDS = (2.0, 5.0)  # one that conditions bridge, one that they do not
LAST_ACTIVITY = 1_000_000.0  # long ago


class Exporter:
    """A page with idle pipelines and with stalled ones, which can be made to fail."""

    def __init__(self) -> None:
        self.fails = False
        self.scrapes = 0
        lines = []
        for kind, cards in (("idle", 0), ("busy", 3)):
            for number in range(PIPELINES):
                labels = f'{{pipeline="{kind}-{number:02}"}}'
                lines += [
                    f"jelmore_pipeline_last_activity_timestamp_seconds{labels} {LAST_ACTIVITY}",
                    f"jelmore_cards_in_progress{labels} {cards}",
                    f"jelmore_cards_waiting{labels} 0",
                ]
        page = "\n".join(lines).encode() + b"\n"
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exporter.scrapes += 1
                self.send_response(500 if exporter.fails else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(b"" if exporter.fails else page)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """The page, served."""
    exporter = Exporter()
    thread = threading.Thread(target=exporter.server.serve_forever)
    thread.start()
    try:
        yield exporter
    finally:
        exporter.server.shutdown()
        thread.join()
        exporter.server.server_close()


class Prometheus:
    """A running Prometheus to query."""

    def __init__(self, url: str) -> None:
        self.url = url

    def pipelines(self, query: str) -> list[str]:
        """The pipelines in a result, in order."""
        with urllib.request.urlopen(
            f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10
        ) as answer:
            return sorted(series["metric"].get("pipeline", "") for series in json.load(answer)["data"]["result"])

    def value(self, query: str) -> float:
        """A single value; 0 without any."""
        with urllib.request.urlopen(
            f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10
        ) as answer:
            result = json.load(answer)["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def evaluated(self, times: int) -> None:
        """Wait until the groups about progress have been evaluated so often again."""
        groups = ".*(time_since_last_activity|velocity_ratio)"
        query = f'min(prometheus_rule_group_last_evaluation_timestamp_seconds{{rule_group=~"{groups}"}})'
        goal = time.time() + times
        wait(lambda: self.value(query) > goal, f"{times} more evaluations")


def wait(condition: Callable[[], object], what: str) -> None:
    """Poll until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


FIRING = 'ALERTS{{alertname="PipelineStalled",alertstate="firing",escalation_level="",pipeline=~"{kind}-.*"}}'
BUSY = [f"busy-{number:02}" for number in range(PIPELINES)]


def compiled(root: Path, folder: Path, address: str) -> Path:
    """Our rules with seconds for the intervals, in this folder; the configuration that loads them."""
    shutil.copytree(root / "rules", folder / "rules")
    shutil.copytree(root / "docs/runbooks", folder / "docs/runbooks")
    settings = folder / "rules/bundle.yaml"
    settings.write_text(settings.read_text().replace("15s", "1s"))
    assert main(["generate", "--root", str(folder)]) == 0
    config = folder / "prometheus.yml"
    own = "127.0.0.1:{port}"
    text = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["deploy/prometheus/rules/*.yml"],
        "scrape_configs": [
            {"job_name": "jelmon-exporter", "static_configs": [{"targets": [address]}]},
            {"job_name": "prometheus", "static_configs": [{"targets": [own]}]},
        ],
    }
    config.write_text(json.dumps(text))
    return config


def test_no_false_page_and_none_missed(
    root: Path, exporter: Exporter, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Every start: a fresh one, a gap that is bridged, one that is not, a restart over the same data."""
    template = compiled(root, tmp_path / "template", exporter.address)
    for start in range(STARTS):
        folder = tmp_path / f"start-{start}"
        shutil.copytree(template.parent, folder)
        port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(config.read_text().replace("{port}", str(port)))
        with Processes(tmp_path / f"logs-{start}") as children:

            def run() -> Prometheus:
                return Prometheus(
                    launch.prometheus(children, tool("prometheus"), folder / "data", config, port=port)  # noqa: B023
                )

            server = run()
            wait(lambda: server.pipelines(FIRING.format(kind="busy")) == BUSY, "every stalled pipeline")  # noqa: B023
            for seconds in GAP_SECONDS:
                exporter.fails = True
                server.evaluated(round(seconds))
                exporter.fails = False
                wait(lambda: server.pipelines(FIRING.format(kind="busy")) == BUSY, "all of them after a gap")  # noqa: B023
                server.evaluated(3)
            children.stop()
            server = run()
            wait(lambda: server.pipelines(FIRING.format(kind="busy")) == BUSY, "all of them after a restart")  # noqa: B023
            server.evaluated(3)

            ever = FIRING.format(kind="idle").replace('alertstate="firing",', "")
            assert server.pipelines(f"count_over_time({ever}[10m])") == []
            velocity = 'count_over_time(ALERTS{alertname="VelocityDrop",alertstate="firing"}[10m])'
            assert server.pipelines(velocity) == []
            assert server.pipelines("jelmore:cards_in_progress") == sorted(
                [*BUSY, *(name.replace("busy", "idle") for name in BUSY)]
            )
