"""A window that is written down is known to a real Prometheus, by way of the real responder."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon_generators.live import http_api

PATIENCE = 60.0
WINDOWS = """\
windows:
  upgrade:
    description: Database upgrade
    owner: platform
    matchers: {{pipeline: nightly}}
    starts: {starts:%Y-%m-%d %H:%M}
    duration: 1h
    time_zone: Asia/Tokyo
  another_day:
    description: Move
    owner: platform
    matchers: {{pipeline: nightly, stage: build}}
    starts: {later:%Y-%m-%d %H:%M}
    duration: 1h
"""


def test_prometheus_knows_of_a_window(root: Path, tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Open or not, about what, and that both have the same rules; the compiler's own bundle with windows added."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/runbooks").symlink_to(root / "docs/runbooks")
    for path in (root / "rules").rglob("*.yaml"):
        copy = tmp_path / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text().replace("evaluation_interval: 15s", "evaluation_interval: 1s"))
    now = datetime.now(UTC)
    starts = (now - timedelta(minutes=10)).astimezone(ZoneInfo("Asia/Tokyo"))
    (tmp_path / "rules/windows.yaml").write_text(WINDOWS.format(starts=starts, later=now + timedelta(days=1)))
    assert main(["generate", "--root", str(tmp_path)]) == 0

    with Processes(tmp_path / "logs") as processes:
        port = processes.port(19748)
        arguments = ["responder", "--web.listen-address", f"127.0.0.1:{port}"]
        arguments += ["--history.url", f"sqlite://{tmp_path}/h.db"]
        arguments += ["--rules.file", str(tmp_path / "deploy/responder/rules.json")]
        processes.start("responder", [sys.executable, "-m", "jelmon", *arguments])
        scraped = {"job_name": "jelmon-responder", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        config = tmp_path / "prometheus.yml"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s"},
                    "rule_files": [str(tmp_path / "deploy/prometheus/rules/*.yml")],
                    "scrape_configs": [scraped],
                }
            )
        )
        prometheus = http_api.prometheus(launch.prometheus(processes, tool("prometheus"), tmp_path / "data", config))

        def asked(query: str) -> list[tuple[dict[str, str], float]]:
            deadline = time.monotonic() + PATIENCE
            found: list[dict[str, Any]] = []
            while not found:
                assert time.monotonic() < deadline, query
                time.sleep(0.1)
                found = prometheus.form("/api/v1/query", {"query": query})["data"]["result"]
            return [(one["metric"], float(one["value"][1])) for one in found]

        active = {
            (labels["window"], labels["scope"], labels["pipeline"], labels.get("stage", "")): value
            for labels, value in asked("jelmore:maintenance:active")
        }
        assert active == {
            ("upgrade", "pipeline", "nightly", ""): 1,
            ("another_day", "pipeline,stage", "nightly", "build"): 0,
        }
        assert [value for _, value in asked("jelmore:rules_difference")] == [0]
