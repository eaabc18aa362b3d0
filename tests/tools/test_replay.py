"""``jelmon replay`` as a command; that its figures are right is proved in tests/e2e."""

import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jelmon.errors import ConfigError
from jelmon.service.progress import Progress
from jelmon.tools import replay

Run = Callable[..., int]
HEADER = "case,activity,start,end\n"
GOOD = HEADER + "1,A,2024-01-01T00:00:00Z,2024-01-01T00:00:30Z\n1,B,2024-01-01T00:00:30Z,2024-01-01T00:01:00Z\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A small good log."""
    path = tmp_path / "claims.csv"
    path.write_text(GOOD)
    return path


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_pipeline_is_named_after_the_file(run: Run, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it is named."""
    run(replay, str(log), "--dry-run")
    by_file = {event["data"]["pipeline"] for event in printed(capsys)}
    run(replay, str(log), "--dry-run", "--pipeline", "other")
    by_flag = {event["data"]["pipeline"] for event in printed(capsys)}

    assert (by_file, by_flag) == ({"claims"}, {"other"})


def test_a_replay_is_summed_up(
    run: Run, log: Path, stream: Callable[[], int], nats_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns as they were understood; cards, runs, events; and the second time nothing new."""
    codes = [run(replay, str(log), "--nats.url", nats_url) for _ in range(2)]
    said = capsys.readouterr().err

    assert codes == [0, 0]
    assert f"{log}: case=case, activity=activity, start=start, end=end\n" in said
    assert "pipeline claims: 1 cards, 2 runs of stages\n6 events stored, in " in said
    assert "0 events stored, 6 already stored, in " in said
    assert stream() == 6


def test_times_can_be_moved_to_now(run: Run, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last event is now; distances stay."""
    run(replay, str(log), "--dry-run", "--shift-to-now")
    times = [datetime.fromisoformat(event["time"]) for event in printed(capsys)]

    assert times[-1] - times[0] == timedelta(minutes=1)
    assert timedelta() <= datetime.now(UTC) - times[-1] < timedelta(seconds=30)


def test_a_replay_can_keep_time(run: Run, log: Path, stream: Callable[[], int], nats_url: str) -> None:
    """A minute at 120 times its speed takes half a second or more."""
    begin = time.monotonic()
    run(replay, str(log), "--speed", "120", "--nats.url", nats_url)

    assert time.monotonic() - begin >= 0.5
    assert stream() == 6


def test_a_bad_log_sends_nothing_and_a_good_part_can_be_asked_for(
    run: Run, log: Path, stream: Callable[[], int], nats_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake is shown once, with the lines that repeat it."""
    log.write_text(GOOD + "2,A,never,\n" * 30)
    with pytest.raises(ConfigError) as caught:
        run(replay, str(log), "--nats.url", nats_url)
    before = stream()
    code = run(replay, str(log), "--nats.url", nats_url, "--skip-bad-rows")

    assert f"{log}:4: column 'start': invalid time 'never'" in caught.value.message
    assert caught.value.message.count("invalid time") == 1
    assert "the same in 29 other lines: 5, 6, 7," in caught.value.message
    assert caught.value.message.endswith("\n30 invalid rows of 32")
    assert "--skip-bad-rows" in caught.value.hint
    assert (before, code, stream()) == (0, 0, 6)
    assert "30 invalid rows of 32 skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "-1"], "--speed: -1 is not a number from 0"),
        (["--speed", "nan"], "--speed: nan is not a number from 0"),
        (["--delimiter", ";;"], "--delimiter must be one character"),
        (["--timezone", "Mars/Olympus"], "unknown time zone 'Mars/Olympus'"),
        (["--case", "csae"], "has no column 'csae'"),
        (["--max-rows", "1"], "more than 1 rows"),
    ],
)
def test_wrong_use_is_told(run: Run, log: Path, arguments: list[str], message: str) -> None:
    """Before anything connects."""
    with pytest.raises(ConfigError, match=message):
        run(replay, str(log), *arguments)


def test_a_log_without_rows_is_told(run: Run, log: Path) -> None:
    """Nothing to replay is not a success."""
    log.write_text(HEADER)
    with pytest.raises(ConfigError, match="nothing to replay"):
        run(replay, str(log))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_quiet_elsewhere() -> None:
    """A log file gets no bar, and no line for what is quick."""
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(10, "events", stream=stream) as progress:
            for done in range(11):
                progress.show(done)

    assert "[##############################] 100%  10 events" in terminal.getvalue()
    assert file.getvalue() == ""
