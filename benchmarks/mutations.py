"""Every rule of the bundle changed in every way of `support.rule_mutants`, one at a time: how many go unnoticed?

Each mutant is shown to the tests of its rule file, generated and written by hand, until one of them fails. All of them
take an hour or so on two cores; name rule files (``avg_processing_time_seconds.yml``), or ask for a sample.
`EQUIVALENT` lists changes that make no difference, and why.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from jelmon.demo import servers
from support.rule_mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy/prometheus/rules"
TESTS = ROOT / "rules/tests"
NO_TESTS = {"rules-fingerprint.yml"}  # one number, compared with the definitions by ``jelmon generate --check``
EQUIVALENT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"error_ratio_\w+: threshold moved: .*> 0\).*-> '0\.01'"),
        "what is counted in a window is 0, or more than a hundredth of an event",
    ),
    (
        re.compile(r"error_ratio_\w+: factor: .*\* 0\.\.\. : '0' -> '0\.1'"),
        "the branch applies only where the total is 0, whatever it is multiplied by",
    ),
    (
        re.compile(r"slo_\w+_(error_ratio|events|budget)_\w+: label of the rule dropped: instance: all"),
        "what it reads has the label already",
    ),
    (
        re.compile(r"matcher dropped: .*'alertname=\"(\w+)\",rule_id=\"\w+\"(.*)' -> '(alertname|rule_id)=\"\w+\"\2'"),
        "alertname and rule_id each name the same alert; Prometheus orders rules by the literal alertname",
    ),
)
"""What a mutant looks like that makes no difference, as it is printed, and the reason."""


def tests_of() -> dict[str, list[Path]]:
    """Return the tests that load each rule file, the quickest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(TESTS.rglob("*.y*ml"), key=lambda one: one.stat().st_size):
        for name in re.findall(r"rules/([\w-]+\.yml)$", path.read_text(), re.MULTILINE):
            found.setdefault(name, []).append(path)
    return found


def unnoticed(promtool: Path, mutant: Mutant, tests: Iterable[Path]) -> bool:
    """Return whether every test passes on the mutant."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / mutant.file).write_text(mutant.text)
        for path in tests:
            text = re.sub(r"  - \.\./\S*/([\w-]+\.yml)", rf"  - {RULES}/\1", path.read_text())
            (folder / "test.yml").write_text(text.replace(f"{RULES}/{mutant.file}", mutant.file))
            command: list[str | Path] = [promtool, "test", "rules", folder / "test.yml"]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return False
    return True


def why_equivalent(mutant: Mutant) -> str:
    """Return the reason why a change makes no difference; empty when it does, or when none is known."""
    return next((reason for pattern, reason in EQUIVALENT if pattern.search(str(mutant))), "")


def main() -> int:
    """Try them on all cores; exit 1 when one survives that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="RULE_FILE", help="only these (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th mutant (default: 1, all)")
    parser.add_argument("--only", default="", metavar="REGEXP", help="only mutants that look like this when printed")
    args = parser.parse_args()
    promtool = servers.find("promtool")
    if promtool is None:
        sys.stderr.write("promtool is not on this machine\n")
        return 2
    tests = tests_of()
    names = args.files or sorted(path.name for path in RULES.glob("*.yml") if path.name not in NO_TESTS)
    every = [mutant for name in names for mutant in mutants(RULES / name) if re.search(args.only, str(mutant))]
    found = every[:: args.every]
    explained: Counter[str] = Counter()
    kinds, missed = Counter(mutant.kind for mutant in found), Counter[str]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda mutant: unnoticed(promtool, mutant, tests.get(mutant.file, ())), found)
        for number, (mutant, lives) in enumerate(zip(found, outcomes, strict=True), 1):
            if lives and (reason := why_equivalent(mutant)):
                explained[reason] += 1
            elif lives:
                missed[mutant.kind] += 1
                sys.stdout.write(f"{mutant}\n")
                sys.stdout.flush()
            if number % 100 == 0:
                sys.stderr.write(f"{number} of {len(found)}\n")
    for reason, count in sorted(explained.items()):
        sys.stdout.write(f"{count} make no difference: {reason}\n")
    for kind, count in sorted(kinds.items()):
        sys.stdout.write(f"{kind}: {count} changes, {missed[kind]} unnoticed\n")
    sys.stdout.write(f"{len(found)} changes, {explained.total()} without effect, {missed.total()} unnoticed\n")
    return 1 if missed.total() else 0


if __name__ == "__main__":
    sys.exit(main())
