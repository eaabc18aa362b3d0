"""``jelmon silences``: create the silences for the maintenance windows in ``rules/windows.yaml``."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jelmon.config.settings import parse_duration
from jelmon.errors import plural
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.live.silences import Alertmanager, desired, plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("action", choices=("plan", "sync"), help="plan: show changes; sync: apply them")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that contains rules/ (default: .)"
    )
    parser.add_argument("--alertmanager.url", dest="alertmanager_url", default="http://127.0.0.1:9093", metavar="URL")
    parser.add_argument(
        "--horizon", default="7d", metavar="DURATION", help="how far ahead silences are created (default: 7d)"
    )
    parser.epilog = """examples:
  jelmon silences plan                 show what sync would change
  jelmon silences sync --horizon 14d   run hourly, from cron or a timer
"""


def run(args: argparse.Namespace) -> int:
    """Plan or sync; exit code 1 if a plan has changes."""
    bundle = compile_bundle(args.root).bundle
    now = datetime.now(UTC)
    horizon = timedelta(seconds=parse_duration(args.horizon, name="--horizon"))
    alertmanager = Alertmanager(args.alertmanager_url)
    steps = plan(desired(bundle.windows.values(), now, horizon), alertmanager.silences(), now)
    pending = [step for step in steps if step.is_change]
    for step in alertmanager.carry_out(steps) if args.action == "sync" else steps:
        sys.stdout.write(f"{step}\n")
    if args.action == "plan":
        return 1 if pending else 0
    sys.stderr.write(f"{plural(len(steps), 'silence')}, {len(pending)} changed\n")
    return 0
