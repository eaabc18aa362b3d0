"""The generated promtool tests: they pass, they cover every alert, and they notice a changed operator or threshold."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from jelmon_generators.commands.generate import OWNED
from jelmon_generators.compiler import compile_bundle

Tool = Callable[[str], Path]
SHARES = 6
OPERATORS = {">": ">=", ">=": ">", "<": "<=", "<=": "<", "==": "!=", "!=": "=="}


def run_tests(promtool: Path, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """promtool on these test files."""
    return subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("share", range(SHARES))
def test_they_pass(root: Path, tool: Tool, share: int) -> None:
    """In shares, so that test workers divide them: a test evaluates only the rules of its own file."""
    files = sorted((root / "rules/tests").rglob("*.y*ml"), key=lambda path: path.stat().st_size)
    assert {path.parent.name for path in files} == {"tests", *(Path(folder).name for folder in OWNED[1:])}
    done = run_tests(tool("promtool"), files[share::SHARES])

    assert (done.returncode, done.stdout + done.stderr if done.returncode else "") == (0, "")


def test_every_alert_and_every_signal_has_a_test(root: Path) -> None:
    """Coverage is 100 %: alerts by definition, signals by an example."""
    bundle = compile_bundle(root).bundle

    assert {path.stem for path in (root / "rules/tests/generated").glob("*.yml")} == set(bundle.alerts)
    written = {name for name, signal in bundle.signals.items() if signal.source == "rules/signals.yaml"}
    assert {path.stem for path in (root / "rules/tests/signals").glob("*.yml")} == written


class Mutant(NamedTuple):
    """A rule file with one change."""

    where: str
    text: str


def mutants(path: Path) -> Iterator[Mutant]:
    """Every comparison of every alert with its operator or its threshold changed, one at a time."""
    lines = path.read_text().split("\n")
    kind, part = "", ""
    for place, line in enumerate(lines):
        if head := re.match(r" {6}- (alert|record):", line):
            kind = head.group(1)
        if head := re.match(r" {8}(\w+):", line):
            part = head.group(1)
        if kind != "alert" or part != "expr":
            continue
        for match in re.finditer(r" (>=|<=|==|!=|>|<) (on \(|-?[\d.]+)", line):
            operator, right = match.groups()
            changed = [f" {OPERATORS[operator]} {right}"]
            if right[0] != "o":
                changed.append(f" {operator} {float(right) * 1.05 + 0.01:g}")
            for text in changed:
                altered = line[: match.start()] + text + line[match.end() :]
                yield Mutant(
                    f"{path.name}: {altered.strip()}", "\n".join([*lines[:place], altered, *lines[place + 1 :]])
                )


def test_they_notice_a_changed_operator_or_threshold(root: Path, tool: Tool, tmp_path: Path) -> None:
    """A sample: one mutant of every second file; `benchmarks/mutations.py` tries every one."""
    tests: dict[str, list[Path]] = {}
    for path in sorted((root / "rules/tests/generated").glob("*.yml")):
        rule_file = re.search(r"rules/(\w+\.yml)$", path.read_text(), re.MULTILINE)
        assert rule_file is not None
        tests.setdefault(rule_file.group(1), []).append(path)

    def survives(job: tuple[int, str, Mutant]) -> str | None:
        number, name, mutant = job
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "rules.yml").write_text(mutant.text)
        files = []
        for path in tests[name]:
            files.append(folder / path.name)
            files[-1].write_text(re.sub(r"  - \.\./.*", "  - rules.yml", path.read_text()))
        return None if run_tests(tool("promtool"), files).returncode else mutant.where

    jobs = []
    for number, name in list(enumerate(sorted(tests)))[::2]:
        found = list(mutants(root / "deploy/prometheus/rules" / name))
        assert found, name
        jobs.append((number, name, found[number % len(found)]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = [where for where in pool.map(survives, jobs) if where]

    assert survivors == []
