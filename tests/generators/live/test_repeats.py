"""When Alertmanager repeats a notification: what `jelmon routes explain` says is what a real one does."""

import itertools
import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon_generators.compile.delivery import again_after

REPEATS = {"below": 0.8, "equal": 1.0, "double": 2.0}  # seconds, with a group interval of one
ENOUGH = 7
PATIENCE = 120.0


def test_a_repeat_interval_equal_to_the_group_interval_doubles_the_gap(
    tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Why the watchdog repeats below its group interval, and what we say about all routes."""
    moments: dict[str, list[float]] = {name: [] for name in REPEATS}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            moments[self.path.strip("/")].append(time.monotonic())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    routes = [
        {"receiver": name, "matchers": [f"case={name}"], "repeat_interval": f"{round(seconds * 1000)}ms"}
        for name, seconds in REPEATS.items()
    ]
    config = {
        "route": {"receiver": "below", "group_wait": "0s", "group_interval": "1s", "routes": routes},
        "receivers": [{"name": name, "webhook_configs": [{"url": f"{url}/{name}"}]} for name in REPEATS],
    }
    path = tmp_path / "alertmanager.yml"
    path.write_text(json.dumps(config))
    try:
        with Processes(tmp_path / "logs") as processes:
            alertmanager = launch.alertmanager(processes, tool("alertmanager"), tmp_path / "data", path)
            request = urllib.request.Request(
                f"{alertmanager}/api/v2/alerts",
                data=json.dumps([{"labels": {"alertname": "A", "case": name}} for name in REPEATS]).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30):
                deadline = time.monotonic() + PATIENCE
            while any(len(found) < ENOUGH for found in moments.values()) and time.monotonic() < deadline:
                time.sleep(0.05)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    gaps = {
        name: statistics.median(after - before for before, after in itertools.pairwise(found))
        for name, found in moments.items()
    }
    assert {name: again_after(seconds, 1.0) for name, seconds in REPEATS.items()} == {
        "below": 1,
        "equal": 2,
        "double": 3,
    }
    assert gaps["below"] < 1.5 < gaps["equal"] < 2.5 < gaps["double"], gaps  # a busy machine delays single ones
