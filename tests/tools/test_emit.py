"""``jelmon emit``: flags that follow the event structs, files, clear errors."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jelmon.errors import ConfigError, Problem
from jelmon.events import EVENT_TYPES, parse
from jelmon.tools import emit
from jelmon.tools.event_flags import add_event_arguments, data_class
from jelmon.tools.findings import listing

Run = Callable[..., int]
GOOD = (
    '{"specversion":"1.0","id":"e%d","source":"/t","time":"2026-01-01T00:00:00Z","subject":"c","type":"%s","data":%s}'
)
QUEUED = GOOD % (1, "jelmore.card.queued", '{"pipeline":"p"}')
STARTED = GOOD % (2, "jelmore.card.started", '{"pipeline":"p"}')

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


def test_every_field_of_every_type_has_a_flag() -> None:
    """A field added to the events is a flag here without anybody's doing."""
    parser = argparse.ArgumentParser()
    add_event_arguments(parser)
    flags = set(parser._option_string_actions)
    fields = {field for kind in EVENT_TYPES.values() for field in data_class(kind).__struct_fields__}

    assert {f"--{field.replace('_', '-')}" for field in fields} <= flags


@pytest.mark.parametrize(
    ("command", "data"),
    [
        pytest.param("card.queued", {"pipeline": "p"}, id="the least"),
        pytest.param(
            "jelmore.stage.finished --stage s --outcome failure --attempt 2 --held-up --next-stage t --reason why",
            {
                "pipeline": "p",
                "stage": "s",
                "outcome": "failure",
                "attempt": 2,
                "held_up": True,
                "next_stage": "t",
                "reason": "why",
            },
            id="words, numbers and marks; the type with its prefix",
        ),
        pytest.param(
            "scan.finished --scanner sast --outcome success --findings high=1,low=3 --duration-seconds 2.5",
            {
                "pipeline": "p",
                "scanner": "sast",
                "outcome": "success",
                "findings": {"high": 1, "low": 3},
                "duration_seconds": 2.5,
            },
            id="a table, and a fraction",
        ),
        pytest.param(
            'pipeline.declared --stages [{"stage":"a","workers":2}] --stall-limit-seconds 30',
            {"pipeline": "p", "stages": [{"stage": "a", "workers": 2}], "stall_limit_seconds": 30.0},
            id="JSON where there is structure",
        ),
        pytest.param(
            'card.finished --outcome success --data {"outcome":"error","reason":"r"}',
            {"pipeline": "p", "outcome": "success", "reason": "r"},
            id="flags come before --data",
        ),
    ],
)
def test_flags_become_the_event(
    run: Run, capsys: pytest.CaptureFixture[str], command: str, data: dict[str, object]
) -> None:
    """--dry-run prints one line of JSON that consumers accept."""
    code = run(emit, command, "--pipeline", "p", "--subject", "c1", "--dry-run")
    line = capsys.readouterr().out
    parse(line.encode())
    printed = json.loads(line)

    assert (code, printed["subject"], printed["data"]) == (0, "c1", data)


def test_attributes_can_be_given(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Id, source, time and trace context."""
    run(
        emit,
        "card.queued --pipeline p --subject c --id i --source /s --time 2026-01-01T01:00:00+01:00",
        "--traceparent 00-ab-cd-01 --dry-run",
    )
    event = parse(capsys.readouterr().out.encode())

    assert (event.id, event.source, event.traceparent) == ("i", "/s", "00-ab-cd-01")
    assert event.time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("command", "message", "hint"),
    [
        ("", "give either a TYPE with flags or --file", "jelmon emit card.started"),
        ("card.queued --file x", "give either a TYPE with flags or --file", "jelmon emit card.started"),
        ("card.finishd", "unknown event type 'card.finishd'", "did you mean 'card.finished'?"),
        ("x", "unknown event type 'x'", "card.queued, card.started"),
        ("card.queued --stage s", "card.queued has no --stage", "it has --pipeline"),
        ("card.finished --pipeline p --subject c", "missing required field `outcome`", "add --outcome"),
        ("card.queued --pipeline p", "card.queued needs --subject", "the id of the card"),
        ("card.finished --outcome god", "--outcome: Invalid enum value 'god'", "one of success, failure"),
        ("stage.queued --attempt 0", "--attempt: Expected `int` >= 1", "--help"),
        ("stage.queued --attempt x", "--attempt: Expected `int`, got `str`", "--help"),
        ("scan.finished --findings hgh=1", "--findings: Invalid enum value 'hgh'", "one of critical, high"),
        ("scan.finished --findings high", "--findings: 'high' is not key=number", "--findings high=2,low=5"),
        ("pipeline.declared --stages [", "--stages: not JSON", "quotes"),
        ("card.queued --data {", "--data: not JSON", "quotes"),
        ("card.queued --data []", "--data: not a JSON object", "write --data"),
        ('card.queued --data {"pipelin":"p"}', "card.queued has no field 'pipelin'", "did you mean 'pipeline'?"),
        (
            "card.queued --pipeline p --subject c --time now",
            "--time: 'now' is not a time with a zone",
            "2026-01-31T12:00:00Z",
        ),
        ("card.queued --pipeline p --subject c --time 2026-01-01T00:00:00", "is not a time with", "T13:00:00+01:00"),
        ("card.queued --pipeline p --subject c --source " + "s" * 300, "source", "docs/events.md"),
        ("--file /none", "cannot read /none", "JSON Lines"),
    ],
)
def test_every_mistake_has_a_message_and_a_hint(run: Run, command: str, message: str, hint: str) -> None:
    """Found before anything connects."""
    with pytest.raises(ConfigError) as caught:
        run(emit, command, "--dry-run")

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_event_is_stored_and_the_same_id_is_told(
    run: Run, stream: Callable[[], int], nats_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time nothing is stored, and it says so."""
    command = f"card.queued --pipeline p --subject c --id once --nats.url {nats_url}"
    codes = [run(emit, command), run(emit, command)]
    said = capsys.readouterr().err.splitlines()

    assert codes == [0, 0]
    assert said == ["card.queued once stored", "card.queued once already stored"]
    assert stream() == 1


def test_a_file_of_events_is_sent_whole(
    run: Run, stream: Callable[[], int], nats_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines and arrays; blank lines do not matter."""
    path = tmp_path / "events.jsonl"
    path.write_text(f"{QUEUED}\n\n[{QUEUED},{STARTED}]")
    code = run(emit, "--file", str(path), "--nats.url", nats_url)

    assert code == 0
    assert capsys.readouterr().err == "2 events stored, 1 already stored\n"
    assert stream() == 2


def test_a_bad_file_sends_nothing_and_tells_every_line(
    run: Run, stream: Callable[[], int], nats_url: str, tmp_path: Path
) -> None:
    """Looked at before sending; a mistake that many lines repeat is shown once."""
    path = tmp_path / "events.jsonl"
    path.write_text(f"{QUEUED}\n" + "nonsense\n" * 30 + '{"type":"jelmore.card.qeued"}\n')
    with pytest.raises(ConfigError) as caught:
        run(emit, "--file", str(path), "--nats.url", nats_url)

    assert f"{path}:2: the event is not JSON" in caught.value.message
    assert "the same in 29 other lines: 3, 4, 5," in caught.value.message
    assert f"{path}:32: unknown event type" in caught.value.message
    assert caught.value.message.endswith("\n31 invalid lines")
    assert stream() == 0


def test_the_good_lines_of_a_bad_file_can_be_sent(
    run: Run, stream: Callable[[], int], nats_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bad one is told, and the exit code says that not all was sent."""
    path = tmp_path / "events.jsonl"
    path.write_text(f"{QUEUED}\nnonsense\n{STARTED}\n")
    code = run(emit, "--file", str(path), "--skip-bad-lines", "--nats.url", nats_url)

    assert code == 1
    assert "2 events stored" in capsys.readouterr().err
    assert stream() == 2


def test_a_huge_line_is_cut_and_told(run: Run, tmp_path: Path) -> None:
    """A file without line ends does not fill the memory."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"[" + b" " * 8_000_000 + f"\n{QUEUED}\n".encode())
    with pytest.raises(ConfigError, match=r":1: the batch of \d+ bytes is too large"):
        run(emit, "--file", str(path), "--dry-run")


def test_events_of_a_pipe_are_sent_as_they_come(stream: Callable[[], int], nats_url: str) -> None:
    """`tail -f | jelmon emit --file -`: the first is stored while the pipe is open."""
    command = [sys.executable, "-m", "jelmon", "emit", "--file", "-", "--nats.url", nats_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(f"{QUEUED}\nnonsense\n".encode())
        deadline = os.times().elapsed + 30
        while stream() == 0:
            assert os.times().elapsed < deadline
        process.stdin.write(STARTED.encode())
        process.stdin.close()
        said = process.stderr.read().decode()
        code = process.wait(30)

    assert code == 1
    assert "2 events stored" in said
    assert "stdin:2: the event is not JSON" in said
    assert stream() == 2


def test_the_command_line_prints_no_traceback(jelmon: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Exit code 2 for wrong use, 1 for a server that is away; help has examples."""
    wrong = jelmon("emit", "card.finishd")
    away = jelmon("emit", "card.queued", "--pipeline", "p", "--subject", "c", "--nats.url", "nats://127.0.0.1:1")
    shown = jelmon("emit", "--help")

    assert (wrong.returncode, away.returncode, shown.returncode) == (2, 1, 0)
    assert "did you mean 'card.finished'?" in wrong.stderr
    assert "does not answer" in away.stderr
    assert "Traceback" not in wrong.stderr + away.stderr
    assert "examples:" in shown.stdout


def test_more_than_twenty_mistakes_are_counted() -> None:
    problems = [Problem("f", number, f"field {chr(64 + number)!s}: wrong") for number in range(1, 31)]

    assert "... and 10 more, the next in line 21\n30 invalid lines" in listing(problems, "line")


def test_the_help_of_a_type_has_its_fields_only_the_required_ones_first(jelmon: Jelmon) -> None:
    """And the words of a closed set, which the help of all types cannot name."""
    result = jelmon("emit", "stage.finished", "--help")
    required, optional = result.stdout.partition("required:")[2].split("optional:")

    assert result.returncode == 0, result.stderr
    assert [flag in required for flag in ("--pipeline", "--stage", "--outcome", "--subject")] == [True] * 4
    assert "success, failure, error" in " ".join(required.split())
    assert "--attempt" in optional
    assert "--gate" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("stage.finished", "--stage", "s", "--outcome", "passed"), "success"),
        (("test.finished", "--category", "unit", "--outcome", "failure"), "failed"),
        (("gate.evaluated", "--gate", "g", "--verdict", "success"), "passed"),
    ],
)
def test_outcomes_accept_each_others_words(jelmon: Jelmon, arguments: tuple[str, ...], word: str) -> None:
    result = jelmon("emit", *arguments, "--pipeline", "p", "--subject", "1", "--dry-run")

    assert f'"{word}"' in result.stdout, result.stderr
