"""Sending dashboards to a Grafana: to a real one where there is one, otherwise to a server with the same contract."""

import json
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jelmon.cli import main

Json = dict[str, Any]
UIDS = {"jelmore-pipeline", "jelmore-quality", "jelmore-bottlenecks"}
TOKEN = "secret-of-the-test"


class FakeGrafana:
    """The part of Grafana's API that a push uses: folders, dashboards with versions, tokens, provisioned files."""

    def __init__(self) -> None:
        self.boards: dict[str, Json] = {}
        self.folders: dict[str, str] = {}
        self.provisioned: set[str] = set()
        self.writes = 0

    def get(self, path: str) -> tuple[int, Json]:
        kind, _, uid = path.removeprefix("/api/").rpartition("/")
        if kind == "folders" and uid in self.folders:
            return 200, {"uid": uid, "title": self.folders[uid]}
        if kind == "dashboards/uid" and uid in self.boards:
            meta = {"provisioned": uid in self.provisioned, "provisionedExternalId": "x.json"}
            return 200, {"dashboard": self.boards[uid]["dashboard"], "meta": meta | self.boards[uid]["meta"]}
        return 404, {"message": "not found"}

    def post(self, path: str, body: Json) -> tuple[int, Json]:
        self.writes += 1
        if path == "/api/folders":
            if body["title"] in self.folders.values():
                return 409, {"message": "a folder with that name already exists"}
            self.folders[body["uid"]] = body["title"]
            return 200, body
        if path != "/api/dashboards/db":
            return 404, {"message": "not found"}
        board = body["dashboard"]
        if board["uid"] in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        before = self.boards.get(board["uid"])
        if before and not body["overwrite"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        version = before["dashboard"]["version"] + 1 if before else 1
        saved = {**board, "id": 7, "version": version}
        self.boards[board["uid"]] = {"dashboard": saved, "meta": {"folderUid": body["folderUid"]}}
        return 200, {"uid": board["uid"], "version": version, "url": f"/d/{board['uid']}/x", "status": "success"}


@pytest.fixture
def fake() -> Iterator[tuple[FakeGrafana, str]]:
    """The server and its URL."""
    state = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(*state.get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(*state.post(self.path, body))

        def _reply(self, code: int, content: Json) -> None:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                code, content = 401, {"message": "Invalid API key"}
            text = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def push(
    fake: tuple[FakeGrafana, str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """``jelmon dashboards push`` to the server."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", encoding="utf-8")
    monkeypatch.setenv("JELMON_GRAFANA_TOKEN_FILE", str(token))

    def run(*flags: str) -> int:
        return main(["dashboards", "push", "--root", str(root), "--grafana.url", fake[1], *flags])

    return run


def test_a_push_creates_folder_and_dashboards_and_repeats_without_effect(
    fake: tuple[FakeGrafana, str], push: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is already there is not sent again, so it gets no new version."""
    state, _ = fake

    assert push("--dry-run") == 1
    assert (state.writes, state.boards) == (0, {})
    assert push() == 0
    assert set(state.boards) == UIDS
    assert state.folders == {"jelmore": "Jelmore"}
    assert push("--dry-run") == 0
    assert push() == 0
    assert {board["dashboard"]["version"] for board in state.boards.values()} == {1}
    assert "3 dashboards, 0 changed" in capsys.readouterr().err


def test_a_difference_is_shown_and_sent(
    fake: tuple[FakeGrafana, str], push: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what differs; the files win."""
    state, _ = fake
    push()
    state.boards["jelmore-quality"]["dashboard"]["title"] = "Changed in the browser"
    capsys.readouterr()

    assert push("--dry-run", "--diff") == 1
    shown = capsys.readouterr()
    assert '-  "title": "Changed in the browser"' in shown.out
    assert '+  "title": "Jelmore / Quality"' in shown.out
    assert "quality.json: would be changed" in shown.err
    assert push() == 0
    assert state.boards["jelmore-quality"]["dashboard"]["title"] == "Jelmore / Quality"
    assert state.boards["jelmore-pipeline"]["dashboard"]["version"] == 1


def test_a_dashboard_in_another_folder_is_moved(fake: tuple[FakeGrafana, str], push: Callable[..., int]) -> None:
    """Its text may be the same."""
    state, _ = fake
    push()

    assert push("--folder.uid", "other", "--folder.title", "Other") == 0
    assert {board["meta"]["folderUid"] for board in state.boards.values()} == {"other"}


def test_the_form_of_an_old_grafana_can_be_sent(fake: tuple[FakeGrafana, str], push: Callable[..., int]) -> None:
    """With the flag of ``jelmon generate``."""
    assert push("--target", "grafana=9.4") == 0
    assert {board["dashboard"]["schemaVersion"] for board in fake[0].boards.values()} == {37}


def test_a_provisioned_dashboard_is_refused_before_anything_is_sent(
    fake: tuple[FakeGrafana, str], push: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Grafana would refuse it half-way through."""
    state, _ = fake
    push()
    state.provisioned.add("jelmore-quality")
    state.boards["jelmore-bottlenecks"]["dashboard"]["title"] = "Other"
    before = state.writes

    assert push() == 1
    assert state.writes == before
    assert "jelmore-quality is provisioned from a file (x.json)" in capsys.readouterr().err


def test_a_wrong_token_is_an_error_that_does_not_show_it(
    push: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what Grafana says."""
    (tmp_path / "token").write_text("wrong-token", encoding="utf-8")

    assert push() == 1
    shown = capsys.readouterr().err
    assert "401" in shown
    assert "Invalid API key" in shown
    assert "wrong-token" not in shown


def test_a_token_in_the_environment_is_refused(
    push: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be visible to every child process."""
    monkeypatch.setenv("JELMON_GRAFANA_TOKEN", "x")

    assert push() == 2
    assert "JELMON_GRAFANA_TOKEN_FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        pytest.param("grafana.example", 2, "is not a URL", id="no scheme"),
        pytest.param("http://127.0.0.1:1", 1, "does not answer", id="nobody listens"),
    ],
)
def test_a_wrong_address_is_named(
    url: str, code: int, message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the flag to set."""
    assert main(["dashboards", "push", "--root", str(root), "--grafana.url", url]) == code
    shown = capsys.readouterr().err
    assert message in shown
    assert "--grafana.url" in shown


@pytest.mark.skipif("JELMON_TEST_GRAFANA_URL" not in os.environ, reason="JELMON_TEST_GRAFANA_URL is not set")
def test_a_real_grafana_accepts_and_returns_the_dashboards(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it saved is what was sent: the second push finds no difference. Anonymous users must be administrators."""
    url = os.environ["JELMON_TEST_GRAFANA_URL"]
    with urllib.request.urlopen(f"{url}/api/health") as answer:
        major, minor = json.load(answer)["version"].split(".")[:2]
    flags = ["dashboards", "push", "--root", str(root), "--grafana.url", url, "--folder.uid", "jelmon-test"]
    flags += ["--folder.title", "Jelmon test", "--target", f"grafana={major}.{minor}"]

    assert main(flags) == 0
    assert main([*flags, "--dry-run", "--diff"]) == 0, capsys.readouterr().out
