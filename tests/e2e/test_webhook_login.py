"""The webhook as the guide secures it: a compiled channel, a real Alertmanager, a responder with TLS and a user."""

import json
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes

PATIENCE = 60.0
PASSWORD = "webhook-password"


def test_a_compiled_channel_logs_in(root: Path, tool: Callable[[str], Path], tmp_path: Path, certificates: Any) -> None:
    """An alert arrives over TLS and with the password; without it nobody reads or writes the history."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/runbooks").symlink_to(root / "docs/runbooks")
    shutil.copytree(root / "rules", tmp_path / "rules")
    guide = (root / "docs/guides/securing.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\nchannels:\n(.*?)```", guide, re.DOTALL)
    assert example is not None
    certificate, key = certificates.sign("server")
    (tmp_path / "responder.password").write_text(PASSWORD, encoding="utf-8")
    shutil.copy(certificates.authority, tmp_path / "jelmon-ca.pem")
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(
        f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}\n"
        f"basic_auth_users: {{alertmanager: {stored}}}\n",
        encoding="utf-8",
    )
    with Processes(tmp_path / "logs") as processes:
        port = processes.port(19749)
        channel = (
            example[1]
            .replace("/etc/alertmanager", str(tmp_path))
            .replace("responder.example:9748", f"localhost:{port}")
        )
        channels = tmp_path / "rules/channels.yaml"
        routing = (
            channels.read_text(encoding="utf-8").partition("routing:")[2].replace("group_wait: 30s", "group_wait: 0s")
        )
        channels.write_text(f"channels:\n{channel}\nrouting:{routing}", encoding="utf-8")
        assert main(["generate", "--root", str(tmp_path), "--output", str(tmp_path / "made")]) == 0
        arguments = [
            "responder",
            "--web.listen-address",
            f"localhost:{port}",
            "--history.url",
            f"sqlite://{tmp_path}/h.db",
        ]
        arguments += ["--web.config.file", str(tmp_path / "web.yml")]
        processes.start("responder", [sys.executable, "-m", "jelmon", *arguments])
        config = tmp_path / "made/alertmanager/alertmanager.yml"
        alertmanager = launch.alertmanager(processes, tool("alertmanager"), tmp_path / "alertmanager", config)
        alert = [{"labels": {"alertname": "Secured", "severity": "critical"}, "annotations": {"summary": "s"}}]
        request = urllib.request.Request(
            f"{alertmanager}/api/v2/alerts", json.dumps(alert).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()

        def history(headers: dict[str, str]) -> Any:
            url = f"https://localhost:{port}/api/v1/alerts"
            context = ssl.create_default_context(cafile=str(certificates.authority))
            asked = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(asked, timeout=10, context=context) as response:
                return json.loads(response.read())["alerts"]

        login = {"Authorization": f"Basic {b64encode(f'alertmanager:{PASSWORD}'.encode()).decode()}"}
        deadline = time.monotonic() + PATIENCE
        rows: list[dict[str, Any]] = []
        while not rows:
            assert time.monotonic() < deadline, "the alert did not arrive"
            time.sleep(0.2)
            try:
                rows = history(login)
            except urllib.error.URLError:  # the responder is still starting
                continue
        assert [row["alertname"] for row in rows] == ["Secured"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            history({})
