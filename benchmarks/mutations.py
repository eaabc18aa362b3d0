"""Every rule of the bundle changed in every way of `support.rule_mutants`, one at a time: how many go unnoticed?

Each mutant is shown to the tests of its rule file, generated and written by hand, until one of them fails; of rules and
tests only what the change can affect. Name rule files (``avg_processing_time_seconds.yml``), ask for a sample, or for
one mutant of each shape: many alerts come from the same template.

`support.equivalent_mutants` lists the changes that make no difference, and why.
"""

import argparse
import math
import os
import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from jelmon.demo import servers
from support.equivalent_mutants import why_equivalent
from support.rule_mutants import Mutant, mutants
from support.rule_tests import Tests

ROOT = Path(__file__).resolve().parent.parent
NO_TESTS = {"rules-fingerprint.yml"}  # one number, compared with the definitions by ``jelmon generate --check``


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="RULE_FILE", help="only these (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th mutant (default: 1, all)")
    parser.add_argument("--only", default="", metavar="REGEXP", help="only mutants that look like this when printed")
    parser.add_argument("--shapes", action="store_true", help="only one mutant of each shape")
    parser.add_argument("--explained", action="store_true", help="only those that are said to make no difference")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="FOLDER", help="repository (default: this one)")
    parser.add_argument("--most", type=float, default=math.inf, metavar="N", help="only tests with so few evaluations")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="promtool processes at a time")
    return parser.parse_args()


def _selected(args: argparse.Namespace) -> list[Mutant]:
    rules = args.root / "deploy/prometheus/rules"
    names = args.files or sorted(path.name for path in rules.glob("*.yml") if path.name not in NO_TESTS)
    found = [one for name in names for one in mutants(rules / name) if re.search(args.only, str(one))]
    if args.shapes:
        found = list({one.shape: one for one in found}.values())
    return found[:: args.every]


def main() -> int:
    """Try them on all cores; exit 1 when one survives that is not explained, or one is noticed that is."""
    args = _arguments()
    promtool = servers.find("promtool")
    if promtool is None:
        sys.stderr.write("promtool is not on this machine\n")
        return 2
    tests, selected, start = Tests(args.root / "rules/tests", args.most), _selected(args), time.monotonic()
    explained = Counter(reason for one in selected if (reason := why_equivalent(one)))
    tried = [one for one in selected if bool(why_equivalent(one)) is args.explained]
    kinds, wrong = Counter(one.kind for one in tried), Counter[str]()
    with ThreadPoolExecutor(args.jobs) as pool:
        outcomes = pool.map(lambda one: tests.notice(promtool, one), tried)
        for number, (mutant, noticed) in enumerate(zip(tried, outcomes, strict=True), 1):
            if noticed is args.explained:
                wrong[mutant.kind] += 1
                sys.stdout.write(f"{mutant}\n")
                sys.stdout.flush()
            if number % 100 == 0:
                sys.stderr.write(f"{number} of {len(tried)} in {time.monotonic() - start:.0f} s\n")
    outcome = "noticed" if args.explained else "unnoticed"
    for reason, count in sorted(explained.items()):
        sys.stdout.write(f"{count} make no difference: {reason}\n")
    for kind, count in sorted(kinds.items()):
        sys.stdout.write(f"{kind}: {count} changes, {wrong[kind]} {outcome}\n")
    sys.stdout.write(f"{len(tried)} changes, {wrong.total()} {outcome}; {explained.total()} more without effect\n")
    return 1 if wrong.total() else 0


if __name__ == "__main__":
    sys.exit(main())
