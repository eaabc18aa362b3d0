"""The generated promtool tests: they pass, they cover every alert, and they notice a changed operator or threshold."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon_generators.commands.generate import OWNED
from jelmon_generators.compiler import compile_bundle

Tool = Callable[[str], Path]
SHARES = 6


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


def test_they_notice_changed_rules(root: Path, tool: Tool) -> None:
    """A sample of changes; `benchmarks/mutations.py` tries every one."""
    assert tool("promtool")
    sample = ["--every", "40", "--only", ": (comparison flipped|duration|label of the rule dropped): "]
    command = [sys.executable, str(root / "benchmarks/mutations.py"), *sample]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    assert (done.returncode, done.stdout if done.returncode else "") == (0, "")
    assert re.search(r"^\d\d changes, 0 unnoticed", done.stdout, re.MULTILINE)
