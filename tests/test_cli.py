"""The command line tells what it can do and says what went wrong without a traceback."""

import subprocess
from collections.abc import Callable

import pytest

from jelmon.cli import COMMANDS

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


def test_no_command_shows_help_and_is_wrong_use(jelmon: Jelmon) -> None:
    result = jelmon()

    assert result.returncode == 2
    assert "commands:" in result.stdout


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
