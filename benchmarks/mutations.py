"""Every operator, threshold and duration of every rendered alert changed, one at a time: how many changes go unnoticed?

`tests/generators/unit_tests/test_generated_tests.py` tries a sample of these; this tries all of them, which takes many
minutes, or those of the named rule files (``avg_processing_time_seconds.yml``). `EQUIVALENT` lists changes that make
no difference, and why.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from jelmon.demo import servers

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy/prometheus/rules"
OPERATORS = (">", ">=", "<", "<=", "==", "!=")
COMPARISON = re.compile(r" (>=|<=|==|!=|>|<) (on \(|-?[\d.]+)")
LEVEL = re.compile(r"time\(\) - jelmore:alert_firing_since")
INTERVAL = re.compile(r"interval: (\d+)([sm])")
EQUIVALENT = (
    (
        re.compile(r":baseline > 0\) .* -> .*:baseline != 0\)"),
        "a baseline below 0: the change is a share of it and has the other sign, so one of the two conditions on the"
        " change fails, a median deviation being never negative",
    ),
)
"""What a change looks like that is none (``before -> after``, without indentation), and the reason."""
DURATION = re.compile(r"^( {8}(?:for|keep_firing_for): )(\d+)(\w.*)$")


class Mutant(NamedTuple):
    """A rule file with one change."""

    file: str
    before: str
    after: str
    text: str


def mutants(path: Path) -> Iterator[Mutant]:
    """All of one rule file."""
    text = path.read_text()
    lines = text.split("\n")
    found = INTERVAL.search(text)
    assert found is not None
    interval = int(found.group(1)) * (60 if found.group(2) == "m" else 1)
    kind, part = "", ""
    for place, line in enumerate(lines):
        if head := re.match(r" {6}- (alert|record):", line):
            kind = head.group(1)
        if head := re.match(r" {8}(\w+):", line):
            part = head.group(1)
        for changed in (
            _changed(line, interval) if kind == "alert" and part in ("expr", "for", "keep_firing_for") else ()
        ):
            changed_text = "\n".join([*lines[:place], changed, *lines[place + 1 :]])
            yield Mutant(path.name, line.strip(), changed.strip(), changed_text)


def _changed(line: str, interval: int) -> Iterator[str]:
    if found := DURATION.match(line):
        yield f"{found.group(1)}{int(found.group(2)) + 1}{found.group(3)}"
    for match in COMPARISON.finditer(line):
        operator, right = match.groups()
        for other in OPERATORS:
            if other != operator:
                yield f"{line[: match.start()]} {other} {right}{line[match.end() :]}"
        if right[0] != "o":
            step = max(abs(float(right)) * 0.02, 0.01)
            if LEVEL.search(line):  # one that is due less than an evaluation earlier is the same level
                step = max(step, interval)
            for value in (float(right) + step, float(right) - step):
                yield f"{line[: match.start()]} {operator} {value:.12g}{line[match.end() :]}"


def why_equivalent(mutant: Mutant) -> str:
    """The reason why a change makes no difference; empty when it does, or when none is known."""
    change = f"{mutant.before} -> {mutant.after}"
    return next((reason for pattern, reason in EQUIVALENT if pattern.search(change)), "")


def main() -> int:
    """Try them all, on all cores; exit 1 when one survives that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="RULE_FILE", help="only these (default: all)")
    args = parser.parse_args()
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
            for place, text in enumerate(sorted(tests[mutant.file], key=len)):
                path = folder / f"test-{place}.yml"
                path.write_text(text)
                if subprocess.run([promtool, "test", "rules", path], capture_output=True, check=False).returncode:
                    return False
        return True

    names = [name for name in sorted(tests) if not args.files or name in args.files]
    found = [mutant for name in names for mutant in mutants(RULES / name)]
    explained: dict[str, int] = {}
    unexplained = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (mutant, lives) in enumerate(zip(found, pool.map(survives, found), strict=True), 1):
            if lives and (reason := why_equivalent(mutant)):
                explained[reason] = explained.get(reason, 0) + 1
            elif lives:
                unexplained += 1
                sys.stdout.write(f"{mutant.file}: {mutant.before}\n  -> {mutant.after}\n")
                sys.stdout.flush()
            if number % 100 == 0:
                sys.stderr.write(f"{number} of {len(found)}\n")
    for reason, count in sorted(explained.items()):
        sys.stdout.write(f"{count} make no difference: {reason}\n")
    sys.stdout.write(f"{len(found)} changes, {sum(explained.values())} without effect, {unexplained} unnoticed\n")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
