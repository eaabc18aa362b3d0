"""The examples in docs/guides are run, so that they cannot grow stale."""

import asyncio
import gzip
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jelmon.client import Publisher
from jelmon.events import parse
from jelmon.nats.subjects import partitioned, subject_of, token

SENDING = Path(__file__).resolve().parents[2] / "docs" / "guides" / "sending-events.md"
TEXT = SENDING.read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()]  # fmt: skip
JSON = re.findall(r"'(\{\n?.*?\})'$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environ(nats_url: str) -> dict[str, str]:
    """A server with the stream of events, as the guide takes it for granted."""

    async def ensure() -> None:
        async with Publisher(nats_url) as publisher:
            await publisher.ensure_stream()

    asyncio.run(ensure())
    return {**os.environ, "NATS_URL": nats_url}


def test_the_guide_has_examples() -> None:
    """The patterns above still find them."""
    assert (len(PYTHON), len(COMMANDS), len(JSON)) == (3, 10, 2)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_examples_run(environ: dict[str, str], number: int, root: Path) -> None:
    """As a program of its own, without warnings."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PYTHON[number]],
        env=environ, cwd=root, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip

    # -X dev tells of slow callbacks too, which a busy machine has
    told = re.sub(r"^Executing .* took [\d.]+ seconds\n", "", done.stderr, flags=re.MULTILINE)
    assert (done.returncode, told) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(environ: dict[str, str], command: str, tmp_path: Path) -> None:
    """Exit code 0, in a folder with the log that the guide replays."""
    with gzip.open(tmp_path / "loans.csv.gz", "wt", encoding="utf-8") as log:
        log.write("case_id,activity,start_ts,complete_ts,resource\n")
        log.writelines(f"{n},check,2026-01-05T09:{n:02}:00Z,2026-01-05T09:{n:02}:30Z,Ann\n" for n in range(60))
    assert command.startswith("jelmon ")
    done = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} -m {command}"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", JSON)
def test_json_examples_are_events(text: str) -> None:
    """Consumers accept them, and the subject in the guide becomes the one that the client uses."""
    event = parse(subprocess.check_output(["sh", "-c", f"printf %s '{text}'"]))

    assert datetime.now(UTC) - event.time < timedelta(minutes=5)  # else the card would have been open for months
    assert subject_of(event) == partitioned("card", "4711")


def test_the_rule_for_keys_is_the_one_of_the_code() -> None:
    """Letters, digits, _ and - stay; 64 characters."""
    assert token("a/b.c d-e_F9" + "x" * 80) == "a_b_c_d-e_F9" + "x" * 52


def test_the_variables_of_the_guide_are_those_that_are_read(jelmon: Callable[..., object]) -> None:
    """Each NATS_* variable in the table stands in the code, and the other way round."""
    code = (SENDING.parent.parent.parent / "src/jelmon/nats/connection.py").read_text(encoding="utf-8")
    read = set(re.findall(r'environ\.get\("(NATS_\w+)"\)', code)) | {
        f"{name}_FILE" for name in re.findall(r'read_secret\(environ, "(NATS_\w+)"\)', code)
    }
    table = {
        name for row in re.findall(r"^\| `NATS_.*$", TEXT, re.MULTILINE) for name in re.findall(r"`(NATS_\w+)`", row)
    }

    assert read == table
