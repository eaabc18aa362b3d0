"""``jelmon simulate`` and its scenario files."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jelmon.errors import ConfigError, DefinitionError, JelmonError
from jelmon.tools import simulate
from jelmon.tools.simulation.scenario import DEMO
from jelmon.tools.simulation.scenario_file import dump, load

Run = Callable[..., int]


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def seconds_of(events: list[dict[str, Any]]) -> list[float]:
    """Seconds of each event from the first."""
    times = [datetime.fromisoformat(event["time"]) for event in events]
    return [(moment - times[0]).total_seconds() for moment in times]


def test_as_fast_as_possible_the_simulated_time_ends_now(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """History, not the future: ten minutes take a moment, and the last event is not later than this."""
    before = datetime.now(UTC)
    code = run(simulate, "--speed 0 --seconds 10m --seed 1 --dry-run")
    times = [datetime.fromisoformat(event["time"]) for event in printed(capsys)]

    assert code == 0
    assert timedelta(minutes=-10) <= times[0] - before <= timedelta(minutes=-9)
    assert timedelta(seconds=-5) < times[-1] - datetime.now(UTC) <= timedelta()


def test_what_goes_wrong_is_told_with_a_summary(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """People see on stderr when the slow-down and the stall begin and end."""
    run(
        simulate,
        "--speed 0 --seconds 200 --seed 1 --slow-at 20 --stall-at 50 --stall-seconds 100 --dry-run",
    )
    said = capsys.readouterr().err

    assert "    20 s  test_execution slows down by a factor of 3\n" in said
    assert "    50 s  every stage stalls: nothing starts or finishes\n" in said
    assert "   150 s  every stage recovers\n" in said
    assert "cards arrived" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "quiet"),
    [
        pytest.param("", [(100, 299)], id="the demo stalls after 100 s, to the end"),
        pytest.param("--stall-at 65", [(65, 299)], id="when the stall begins can be chosen"),
        pytest.param("--stall-at 1m --stall-seconds 1m", [(60, 120)], id="and how long it lasts"),
        pytest.param("--stall-at never", [], id="or that there is none"),
    ],
)
def test_the_flags_move_the_stall(
    run: Run, capsys: pytest.CaptureFixture[str], flags: str, quiet: list[tuple[int, int]]
) -> None:
    """Seconds in which no run of a stage starts or ends, in blocks of ten and more."""
    run(simulate, "--speed 0 --seconds 300 --seed 1 --slow-at never --dry-run", flags)
    events = printed(capsys)
    moving = {
        int(at)
        for at, event in zip(seconds_of(events), events, strict=True)
        if event["type"] in ("jelmore.stage.started", "jelmore.stage.finished")
    }
    spans: list[tuple[int, int]] = []
    last = 0
    for second in [*sorted(moving), 299]:
        if second - last > 20:
            spans.append((last, second))
        last = second

    assert len(spans) == len(quiet)
    for (begin, end), (wanted_begin, wanted_end) in zip(spans, quiet, strict=True):
        assert begin == pytest.approx(wanted_begin, abs=3)
        assert end == pytest.approx(wanted_end, abs=3)


def test_the_pipeline_can_be_renamed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Several simulations side by side."""
    run(simulate, "--speed 0 --seconds 60 --pipeline other --dry-run")
    pipelines = {event["data"].get("pipeline", "other") for event in printed(capsys)}

    assert pipelines == {"other"}


def test_events_are_published(
    run: Run, stream: Callable[[], int], nats_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As fast as possible, all of them, and the number is told."""
    code = run(simulate, f"--speed 0 --seconds 60 --seed 1 --nats.url {nats_url}")
    said = capsys.readouterr().err

    assert code == 0
    assert f"{stream()} events stored" in said
    assert stream() > 500


def test_in_real_time_a_signal_ends_it_cleanly(stream: Callable[[], int], nats_url: str) -> None:
    """Ctrl-C and SIGTERM: what was told is stored, a summary, exit code 0, no traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        before = stream()
        command = [sys.executable, "-m", "jelmon", "simulate", "--nats.url", nats_url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 30
            while stream() == before:
                assert time.monotonic() < deadline
            process.send_signal(number)
            _, said = process.communicate(timeout=30)

        assert process.returncode == 0, said
        assert f"{stream() - before} events stored" in said
        assert "Traceback" not in said


def test_real_time_is_kept(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A minute at sixty times real time takes a second or more, never less."""
    begin = time.monotonic()
    run(simulate, "--speed 60 --seconds 60 --seed 1 --dry-run")
    lasted = time.monotonic() - begin
    last = seconds_of(printed(capsys))[-1]

    assert lasted >= last / 60


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--speed 2", "--speed other than 1 needs --seconds"),
        ("--speed 0", "--speed other than 1 needs --seconds"),
        ("--scenario none.yaml", "'none.yaml' is neither demo nor demo-week nor a readable file"),
        ("--stall-at never --stall-seconds 10", "no stall in this scenario"),
    ],
)
def test_wrong_use_is_told(run: Run, flags: str, message: str) -> None:
    """Before anything connects."""
    with pytest.raises(ConfigError, match=message):
        run(simulate, flags)


@pytest.mark.parametrize("flags", ["--seconds x", "--seconds -1", "--speed fast", "--speed -1", "--stall-at soon"])
def test_values_that_are_no_numbers_are_told(run: Run, flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By argparse, with usage."""
    flag, value = flags.split()
    with pytest.raises(SystemExit):
        run(simulate, f"{flag}={value}")

    assert f"argument {flag}" in capsys.readouterr().err


# --- scenario files ---


def test_the_printed_demo_reads_back_as_the_demo(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What --print-scenario shows is a whole scenario file."""
    run(simulate, "--print-scenario")
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out)

    assert load(str(path)) == DEMO
    assert load("demo") is DEMO


@pytest.mark.parametrize(
    ("old", "new", "line_of", "message"),
    [
        pytest.param("workers: 6", "workers: many", "workers: many", "Expected `int`, got `str`", id="a wrong type"),
        pytest.param("workers: 6", "workers: 0", "workers: 0", "Expected `int` >= 1", id="a number out of range"),
        pytest.param("workers: 6", "workrs: 6", "stage: test_execution", "unknown field `workrs`", id="unknown field"),
        pytest.param("kind: stall", "kind: stal", "kind: stal", "Invalid enum value 'stal'", id="an unknown change"),
        pytest.param(
            "stage: deploy", "stage: code_analysis", "pipeline: demo", "is declared twice", id="a stage twice"
        ),
        pytest.param(
            "per_minute: 40", "per_minute: 40\n  per_minute: 4", "per_minute: 4", "duplicate key", id="a key twice"
        ),
        pytest.param("pipeline: demo", "pipeline: [", "per_minute: 40", "invalid YAML", id="no YAML"),
    ],
)
def test_a_wrong_scenario_is_told_with_its_line(tmp_path: Path, old: str, new: str, line_of: str, message: str) -> None:
    """The line at fault is quoted, or the one where its part begins."""
    path = tmp_path / "mine.yaml"
    text = dump(DEMO).replace(old, new, 1)
    path.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        load(str(path))
    problem = caught.value.problems[0]

    assert message in problem.message
    assert problem.message.startswith("invalid YAML") or line_of in text.splitlines()[problem.line - 1]


def test_an_alias_that_leads_back_does_not_hang(tmp_path: Path) -> None:
    """Hostile YAML is refused like any other."""
    path = tmp_path / "mine.yaml"
    path.write_text("pipeline: demo\nstages: &a [*a]\narrivals: {per_minute: 1}\n")
    with pytest.raises(JelmonError):
        load(str(path))


def test_the_demo_has_room_for_its_load() -> None:
    """Undisturbed, every stage has more workers than the arriving work keeps busy."""
    rate = DEMO.arrivals.per_minute / 60
    loads = Counter({stage.stage: rate * stage.service.mean_seconds / stage.workers for stage in DEMO.stages})

    assert max(loads.values()) < 0.8
