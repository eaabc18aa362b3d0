"""The command line tells what it can do and says what went wrong without a traceback."""

import argparse
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.cli import COMMANDS, _load, _parser, main

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


def test_help_lists_every_command(jelmon: Jelmon) -> None:
    result = jelmon("--help")

    assert result.returncode == 0
    assert [name for name in COMMANDS if f"\n    {name} " not in result.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(jelmon: Jelmon, command: str) -> None:
    result = jelmon(command, "--help")

    assert result.returncode == 0, result.stderr
    assert "example" in result.stdout.lower()
    assert f"jelmon {command}" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_are_correct_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are parsed as they stand, those of a pipeline one by one; what follows two spaces is a remark."""
    parser, subparsers = _parser()
    _load(command).add_arguments(subparsers[command])
    text = re.sub(r"\\\n\s*", " ", subparsers[command].epilog or "")
    lines = [re.split(r"\s{2,}", line.strip())[0] for line in text.splitlines() if line.startswith("  ")]
    calls = [shlex.split(part) for line in lines if "jelmon " in line for part in re.split(r" (?:\||&&|>) |; ", line)]
    examples = [call[1:] for call in calls if call[:2] == ["jelmon", command] and "--help" not in call]

    assert examples
    for arguments in examples:
        assert parser.parse_known_args(arguments)[1] == [], arguments
    assert capsys.readouterr().err == ""


def test_no_command_shows_help_and_is_wrong_use(jelmon: Jelmon) -> None:
    result = jelmon()

    assert result.returncode == 2
    assert "commands:" in result.stdout


@pytest.mark.parametrize("where", ["before", "after"])
def test_logging_flags_stand_before_or_after_the_command(jelmon: Jelmon, where: str) -> None:
    """With --debug an error has its traceback, without it has none."""
    flags, command = ["--debug", "--log.format", "json"], ["replay", "/nonexistent.csv"]
    result = jelmon(*flags, *command) if where == "before" else jelmon(*command, *flags)

    assert "Traceback" in result.stderr
    assert "ConfigError" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("emit", "card.queued", "--nats-url", "nats://h:4222"), "--nats.url"),
        (("exporter", "--web.listen-adress=:1"), "--web.listen-address"),
        (("--verson",), "--version"),
    ],
    ids=["a dash for a dot", "a slip, with =", "without a command"],
)
def test_a_mistyped_flag_names_the_one_that_was_meant(jelmon: Jelmon, arguments: tuple[str, ...], meant: str) -> None:
    result = jelmon(*arguments)

    assert result.returncode == 2
    first, *_ = result.stderr.splitlines()  # the error comes first, not a page of usage
    assert first.startswith("jelmon")
    assert first.endswith(f"did you mean {meant}?")


def test_a_full_disk_is_told_without_traceback(root: Path) -> None:
    command = [sys.executable, "-m", "jelmon", "simulate", "--dry-run", "--speed", "0", "--seconds", "60"]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=root, timeout=60)

    assert result.returncode == 1
    assert "jelmon: [Errno 28] No space left on device" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr


def test_a_reader_that_leaves_early_is_no_error(root: Path) -> None:
    """As in `jelmon simulate --dry-run | head -1`."""
    command = [sys.executable, "-m", "jelmon", "simulate", "--dry-run", "--speed", "0", "--seconds", "6h"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read()

    assert process.returncode == 0
    assert b"Traceback" not in complaints
    assert b"BrokenPipe" not in complaints


def test_a_fault_of_our_own_is_one_message_and_a_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: argparse.Namespace) -> int:
        raise TypeError("takes 3 arguments")

    monkeypatch.setattr("jelmon.tools.emit.run", broken)

    assert main(["emit", "card.queued"]) == 1
    told = capsys.readouterr().err
    assert "internal error: TypeError: takes 3 arguments" in told
    assert "cli.py:" in told
    assert "--debug" in told


def test_unknown_command_is_wrong_use_without_traceback(jelmon: Jelmon) -> None:
    result = jelmon("exprter")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "exprter" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("exporter", "--web.listen-address", "nonsense"),
        ("exporter", "--web.config.file", "/nonexistent.yml"),
        ("responder", "--web.listen-address", "127.0.0.1:99999"),
        ("replay", "/nonexistent.csv"),
        ("emit", "card.finishd", "--pipeline", "p", "--subject", "c"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_wrong_use_exits_with_two_and_says_what_to_do(jelmon: Jelmon, arguments: tuple[str, ...]) -> None:
    result = jelmon(*arguments)

    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


def test_ctrl_c_while_modules_are_imported_is_quiet(root: Path) -> None:
    code = """
import signal, sys
from jelmon.__main__ import main

class Hasty:
    def find_spec(self, name, *_):
        if name == "jelmon.service.logs":  # which jelmon.cli imports
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
sys.meta_path.insert(0, Hasty())
sys.exit(main())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)

    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_the_installed_command_is_the_one_that_is_quiet(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["scripts"] == {"jelmon": "jelmon.__main__:main"}
