"""Every operator, threshold and duration of every rendered alert changed, one at a time: how many changes go unnoticed?

`tests/generators/test_generated_tests.py` tries a sample of these; this tries all of them, which takes minutes.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from jelmon.stack import servers

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy/prometheus/rules"
OPERATORS = (">", ">=", "<", "<=", "==", "!=")
COMPARISON = re.compile(r" (>=|<=|==|!=|>|<) (on \(|-?[\d.]+)")
DURATION = re.compile(r"^( {8}(?:for|keep_firing_for): )(\d+)(\w.*)$")


class Mutant(NamedTuple):
    """A rule file with one change."""

    file: str
    before: str
    after: str
    text: str


def mutants(path: Path) -> Iterator[Mutant]:
    """All of one rule file."""
    lines = path.read_text().split("\n")
    kind, part = "", ""
    for place, line in enumerate(lines):
        if head := re.match(r" {6}- (alert|record):", line):
            kind = head.group(1)
        if head := re.match(r" {8}(\w+):", line):
            part = head.group(1)
        for changed in _changed(line) if kind == "alert" and part in ("expr", "for", "keep_firing_for") else ():
            text = "\n".join([*lines[:place], changed, *lines[place + 1 :]])
            yield Mutant(path.name, line.strip(), changed.strip(), text)


def _changed(line: str) -> Iterator[str]:
    if found := DURATION.match(line):
        yield f"{found.group(1)}{int(found.group(2)) + 1}{found.group(3)}"
    for match in COMPARISON.finditer(line):
        operator, right = match.groups()
        for other in OPERATORS:
            if other != operator:
                yield f"{line[: match.start()]} {other} {right}{line[match.end() :]}"
        if right[0] != "o":
            # a level that is due less than an evaluation earlier is the same level
            step = max(abs(float(right)) * 0.02, 0.01)
            for value in (float(right) + step, float(right) - step):
                yield f"{line[: match.start()]} {operator} {value:.12g}{line[match.end() :]}"


def main() -> int:
    """Try them all, on all cores; exit 1 when one survives."""
    promtool = servers.find("promtool")
    if promtool is None:
        sys.stderr.write("promtool is not on this machine\n")
        return 2
    tests: dict[str, list[str]] = {}
    for path in sorted((ROOT / "rules/tests/generated").glob("*.yml")):
        text = path.read_text()
        name = re.search(r"rules/([\w-]+\.yml)$", text, re.MULTILINE)
        assert name is not None
        tests.setdefault(name.group(1), []).append(re.sub(r"  - \.\./.*", "  - rules.yml", text))

    def survives(mutant: Mutant) -> bool:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "rules.yml").write_text(mutant.text)
            files = []
            for place, text in enumerate(tests[mutant.file]):
                files.append(folder / f"test-{place}.yml")
                files[-1].write_text(text)
            return subprocess.run([promtool, "test", "rules", *files], capture_output=True, check=False).returncode == 0

    found = [mutant for name in sorted(tests) for mutant in mutants(RULES / name)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = [one for one, lives in zip(found, pool.map(survives, found), strict=True) if lives]
    for one in survivors:
        sys.stdout.write(f"{one.file}: {one.before}\n  -> {one.after}\n")
    sys.stdout.write(f"{len(found)} mutants, {len(survivors)} unnoticed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
