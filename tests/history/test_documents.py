"""docs/guides/history.md lists every flag and variable of `jelmon history`."""

import argparse
import re
from pathlib import Path

from jelmon_history import command

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/guides/history.md").read_text(encoding="utf-8").split("\n## Flags\n")[1]


def _cells(column: int) -> set[str]:
    rows = [line.split("|") for line in TEXT.splitlines() if line.startswith("| ")][1:]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row[column + 1])}


def test_every_flag_and_variable_stands_in_the_table() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    code = (ROOT / "history/jelmon_history/command.py").read_text(encoding="utf-8")
    read = {f"{name}_FILE" for name in re.findall(r'reader\.secret\("(\w+)"\)', code)}
    read |= set(re.findall(r'variable="(\w+)"', code))

    assert _cells(0) == flags - {"--help"}
    assert _cells(1) == read | {"NATS_URL"}
