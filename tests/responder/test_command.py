"""``jelmon responder`` as a user runs it."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


def test_help_shows_flags_and_examples(jelmon: Jelmon) -> None:
    """The help shows the receiver for alertmanager.yml."""
    text = jelmon("responder", "--help").stdout

    for part in ("--history.url", "--alertmanager.url", "127.0.0.1:9748", "/api/v1/alerts/webhook", "examples:"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--history.url", "mysql://x"], "unsupported database", id="an unknown database"),
        pytest.param(["--history.url", "sqlite:///nowhere/x.db"], "does not exist", id="a missing folder"),
        pytest.param(["--history.url", "postgresql://u:secret@h/d"], "contains a password", id="a password to be seen"),
        pytest.param(["--history.url", "postgresql://h/d?password=x"], "contains a password", id="the same, elsewhere"),
        pytest.param(["--history.url", "postgresql://h/d?ssl%70assword=secret"], "contains a password", id="a key's"),
        pytest.param(["--alertmanager.url", "http://u:secret@h:1"], "contains a password", id="Alertmanager's"),
        pytest.param(["--alertmanager.url", "htp://u:secret@h:1"], "is not an HTTP URL", id="another scheme"),
        pytest.param(["--alertmanager.url", "localhost:9093"], "is not an HTTP URL", id="an address without scheme"),
        pytest.param(["--alertmanager.poll-interval", "often"], "is not a duration", id="a word for a duration"),
        pytest.param(["--alertmanager.poll-interval", "0s"], "more than 0", id="no pause"),
        pytest.param(["--web.listen-address", "x:y"], "is not an address", id="no port"),
        pytest.param(["--nats.url", "nats://h:1"], "actions are enabled", id="actions that anybody may request"),
        pytest.param(["--actions.allowed", "scale up"], "is not the name of an action", id="two words"),
        pytest.param(["--nats.url", "http://x"], "NATS_URL", id="an address of another kind"),
        pytest.param(["--web.config.file", "/nowhere.yml"], "/nowhere.yml", id="a missing web config"),
    ],
)
def test_wrong_usage_is_reported(jelmon: Jelmon, tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2 and a message, no traceback, and no secret."""
    url = [] if "--history.url" in arguments else ["--history.url", f"sqlite://{tmp_path}/h.db"]
    result = jelmon("responder", *url, *arguments)

    assert (result.returncode, message in result.stderr) == (2, True), result.stderr
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr


def test_it_serves_until_sigterm(tmp_path: Path, root: Path) -> None:
    """It logs its address, answers, and exits with code 0; the history is one file."""
    command = [sys.executable, "-m", "jelmon", "responder", "--web.listen-address", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--history.url", f"sqlite://{tmp_path}/h.db"], stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "responder listens" in line)
            address = line.split('url="')[1].split('"')[0]
            with urllib.request.urlopen(f"{address}/-/ready", timeout=10) as response:
                assert response.status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.db"]


def test_the_url_may_come_from_a_file(postgres_dsn: str, tmp_path: Path, root: Path) -> None:
    """``RESPONDER_DATABASE_URL_FILE``, and ``--history.migrate-only`` makes the tables and leaves."""
    secret = tmp_path / "url"
    secret.write_text(f"{postgres_dsn}\n", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "jelmon", "responder", "--history.migrate-only"],
        env={**os.environ, "RESPONDER_DATABASE_URL_FILE": str(secret)},
        capture_output=True,
        text=True,
        cwd=root,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT component, version, name FROM jelmore.schema_migrations ORDER BY version"
        ).fetchall()

    assert rows == [("responder", 1, "alert_history"), ("responder", 2, "mail"), ("responder", 3, "outbox")]
