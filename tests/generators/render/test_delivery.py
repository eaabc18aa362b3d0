"""A real Alertmanager delivers to every type of channel, from every output format: nothing that a channel needs stays
behind."""

import json
import re
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes

PATIENCE = 60.0
SUMMARY, DESCRIPTION = "Pipeline p has stalled", "Nothing moved for 12m"
TITLE = f"[FIRING:1] {SUMMARY}"
FIELDS = {  # what a channel's message holds, besides what the protocol asks for
    "hook": [SUMMARY, DESCRIPTION],
    "file-hook": [SUMMARY, DESCRIPTION],
    "chat": [TITLE, DESCRIPTION, "silences/new?filter=%7B"],
    "pager": [TITLE],
    "genie": [TITLE, DESCRIPTION],
    "office": [TITLE, DESCRIPTION],
    "mail": [SUMMARY, DESCRIPTION],
}


class Inbox:
    """Receives what is sent over HTTP, by path, and mail."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        inbox = self

        class Web(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                inbox.messages[self.path.strip("/").split("/")[0]] = body.encode().decode("unicode_escape")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"1")  # Teams answers so

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Mail(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 localhost")
                while line := self.rfile.readline().decode().strip():
                    if line.upper() == "DATA":
                        self._say("354 go on")
                        body = []
                        while (part := self.rfile.readline().decode()) not in (".\r\n", ""):
                            body.append(part)
                        inbox.messages["mail"] = re.sub(r"=\r\n", "", "".join(body))
                    self._say("221 bye" if line.upper() == "QUIT" else "250 fine")

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self.web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
        self.mail = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
        self.servers: list[socketserver.BaseServer] = [self.web, self.mail]

    @property
    def url(self) -> str:
        """Where it listens for HTTP."""
        return f"http://127.0.0.1:{self.web.server_port}"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """The inbox, served."""
    inbox = Inbox()
    threads = [threading.Thread(target=server.serve_forever) for server in inbox.servers]
    for thread in threads:
        thread.start()
    try:
        yield inbox
    finally:
        for server in inbox.servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def version(tool: Callable[[str], Path]) -> tuple[int, int]:
    """Of the Alertmanager here; one that does not say is a new one."""
    said = subprocess.run([tool("amtool"), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    return (int(found[1]), int(found[2])) if found else (0, 31)


def test_this_alertmanager_has_every_channel(version: tuple[int, int]) -> None:
    """Otherwise some are not delivered below: webhooks with `url_file` (0.26) and Teams (0.27)."""
    if version < (0, 27):
        pytest.skip(
            f"Teams, url_file: not in Alertmanager {version[0]}.{version[1]}; JELMON_TEST_ALERTMANAGER names a newer"
        )


def write_definitions(bundle: Path, inbox: Inbox, version: tuple[int, int]) -> set[str]:
    """Every type of channel that this Alertmanager has, for critical alerts; the names of the channels."""
    secrets = {"hook": f"{inbox.url}/file-hook", "chat": f"{inbox.url}/chat", "office": f"{inbox.url}/office"}
    for name, text in {**secrets, "key": "a-key"}.items():
        (bundle / name).write_text(text)
    channels: dict[str, dict[str, Any]] = {
        "hook": {"type": "webhook", "url": f"{inbox.url}/hook"},
        "diary": {"type": "log"},
        "chat": {"type": "slack", "api_url_file": f"{bundle}/chat", "channel": "#c"},
        "pager": {"type": "pagerduty", "routing_key_file": f"{bundle}/key"},
        "genie": {"type": "opsgenie", "api_key_file": f"{bundle}/key"},
        "mail": {
            "type": "email",
            "to": "a@example.org",
            "from": "b@example.org",
            "smarthost": f"127.0.0.1:{inbox.mail.server_address[1]}",
            "require_tls": False,
        },
    }
    if version >= (0, 26):
        channels["file-hook"] = {"type": "webhook", "url_file": f"{bundle}/hook"}
    if version >= (0, 27):
        channels["office"] = {"type": "teams", "webhook_url_file": f"{bundle}/office"}
    names = sorted(channels)
    route = {"group_wait": "0s", "group_interval": "1m"}
    routing = dict.fromkeys(("watchdog", "escalation", "warning", "info"), route)
    routing |= {"everywhere": ["hook"], "critical": {**route, "channels": names}}  # type: ignore[dict-item]
    (bundle / "rules/channels.yaml").write_text(json.dumps({"channels": channels, "routing": routing}))
    levels = [{"minutes": 15, "channels": ["hook"], "escalate_to": "somebody"}]
    (bundle / "rules/escalations.yaml").write_text(
        json.dumps({"escalations": {"standard": {"description": "Somebody.", "levels": levels}}})
    )
    alerts = bundle / "rules/alerts/all.yaml"
    alerts.write_text(alerts.read_text().replace("    channels: [team-mail]\n", ""))
    (bundle / "rules/windows.yaml").unlink()
    return set(names) - {"diary"}


def as_files(bundle: Path, _: Path, target: str) -> Path:
    """`jelmon generate` in the project."""
    assert main(["generate", "--root", str(bundle), "--target", target]) == 0
    return bundle / "alertmanager/alertmanager.yml"


def as_output(bundle: Path, folder: Path, target: str) -> Path:
    """`jelmon generate --output`."""
    assert main(["generate", "--root", str(bundle), "--output", str(folder), "--target", target]) == 0
    return folder / "alertmanager/alertmanager.yml"


def as_kubernetes(bundle: Path, folder: Path, target: str) -> Path:
    """`jelmon generate --format kubernetes`, converted as the operator does: keys in snake case, secrets by value."""
    arguments = ["--root", str(bundle), "--output", str(folder), "--format", "kubernetes", "--target", target]
    assert main(["generate", *arguments]) == 0
    spec = yaml.safe_load((folder / "deploy/kubernetes/alertmanager-config.yml").read_text())["spec"]

    def converted(value: Any) -> Any:
        match value:
            case {"name": "jelmon-alertmanager", "key": key}:
                return (bundle / key).read_text()
            case {"name": name, "matchType": sign, "value": text}:
                return f"{name}{sign}{json.dumps(text)}"
            case dict():
                return {snake(key): converted(item) for key, item in value.items()}
            case list():
                return [converted(item) for item in value]
        return value

    def snake(key: str) -> str:
        key = {"urlSecret": "url", "sourceMatch": "source_matchers", "targetMatch": "target_matchers"}.get(key, key)
        return re.sub(r"(?<=[a-z0-9])([A-Z]+)", lambda match: f"_{match[1].lower()}", key)

    config = folder / "alertmanager.yml"
    config.write_text(yaml.safe_dump(converted(spec)))
    return config


@pytest.mark.parametrize("form", [as_files, as_output, as_kubernetes], ids=["files", "output", "kubernetes"])
def test_every_channel_is_notified(
    form: Callable[[Path, Path, str], Path],
    bundle: Path,
    inbox: Inbox,
    version: tuple[int, int],
    tool: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """With our texts, rendered by our templates."""
    names = write_definitions(bundle, inbox, version)
    config = form(bundle, tmp_path / "output", f"alertmanager={version[0]}.{version[1]}")
    plain = yaml.safe_load(config.read_text())
    plain.setdefault("global", {}).update(  # services without a URL of their own in a definition
        {"pagerduty_url": f"{inbox.url}/pager", "opsgenie_api_url": f"{inbox.url}/genie"}
    )
    config.write_text(yaml.safe_dump(plain))
    alert = {
        "labels": {"alertname": "PipelineStalled", "pipeline": "p", "severity": "critical", "rule_id": "stalled"},
        "annotations": {"summary": SUMMARY, "description": DESCRIPTION, "runbook_url": "https://example.org"},
    }

    with Processes(tmp_path / "logs") as processes:
        url = launch.alertmanager(processes, tool("alertmanager"), tmp_path / "data", config)
        body = json.dumps([alert]).encode()
        request = urllib.request.Request(
            f"{url}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30):
            deadline = time.monotonic() + PATIENCE
        while inbox.messages.keys() < names and time.monotonic() < deadline:
            time.sleep(0.05)
        log = (tmp_path / "logs/alertmanager.log").read_text() if inbox.messages.keys() != names else ""

    assert inbox.messages.keys() == names, log
    for name in names:
        for text in FIELDS[name]:
            assert text in inbox.messages[name], name


def test_a_template_of_the_project_replaces_the_shipped_one(bundle: Path) -> None:
    """It travels as well; one that lacks what channels use, or is broken, is refused with its line."""
    own = bundle / "alertmanager/templates/jelmon.tmpl"
    own.parent.mkdir(parents=True)
    own.write_text('{{ define "jelmon.title" }}ours{{ end }}\n{{ define "jelmon.text" }}ours too{{ end }}\n')
    output = bundle / "elsewhere"

    assert main(["generate", "--root", str(bundle), "--output", str(output)]) == 0
    assert (output / "alertmanager/templates/jelmon.tmpl").read_text() == own.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{{ define "jelmon.title" }}ours{{ end }}',
            "alertmanager/templates/jelmon.tmpl: channels use jelmon.text, which no template defines",
        ),
        (
            '{{ define "jelmon.title" }}ours{{ end }}\n{{ define "jelmon.text" }}{{ .Alerts }',
            "alertmanager/templates/jelmon.tmpl:2: '}' cannot stand in a template",
        ),
    ],
    ids=["a template is missing", "a template is broken"],
)
def test_a_template_that_cannot_be_used_is_refused(
    text: str, message: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written."""
    own = bundle / "alertmanager/templates/jelmon.tmpl"
    own.parent.mkdir(parents=True)
    own.write_text(text)

    assert main(["generate", "--root", str(bundle)]) == 2
    assert message in capsys.readouterr().err
