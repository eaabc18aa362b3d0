"""``jelmon demo``: arguments."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from jelmon.config.settings import parse_duration
from jelmon.demo.demo import DemoSettings
from jelmon.demo.demo import run as run_demo
from jelmon.errors import ConfigError
from jelmon.installation import shipped

EXAMPLES = """examples:
  jelmon demo                      watch a simulated pipeline until Ctrl-C
  jelmon demo --seconds 180        stop after 180 s; exit code 0 if the stall alert reached the alert history
  jelmon demo --keep               keep data and logs

Missing servers are fetched into a cache folder. Nothing is installed, and everything listens on loopback only.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--seconds", type=_seconds, metavar="N", help="stop after this many seconds, or 3m (default: run until Ctrl-C)"
    )
    parser.add_argument(
        "--stall-at",
        type=_seconds,
        metavar="N",
        default=100,
        help="stall the pipeline after this many seconds (default: 100)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with data and logs")
    parser.add_argument(
        "--no-week", action="store_true", help="without the week of simulated history, which takes a minute of CPU time"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="folder with rules/ and deploy/prometheus/ (default: the shipped ones)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo in the terminal."""
    root: Path = args.root or shipped()
    if not (root / "rules").is_dir() or not (root / "deploy/prometheus/prometheus.yml").is_file():
        raise ConfigError(
            f"{root.resolve()} has no rules/ and deploy/prometheus/prometheus.yml",
            hint="name a checkout, or a project of `jelmon init`; without --root the demo uses the shipped files",
        )
    return run_demo(
        DemoSettings(
            root=root.resolve(), seconds=args.seconds, stall_at=args.stall_at, keep=args.keep, week=not args.no_week
        ),
        Console(highlight=False, soft_wrap=not sys.stdout.isatty()),  # do not wrap lines of a log
    )


def _seconds(text: str) -> float:
    """Return the seconds of ``90`` or ``1h30m``."""
    try:
        value = float(text) if text.replace(".", "", 1).isdecimal() else parse_duration(text, name="value")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write seconds, or 30s, 5m, 1h30m") from error
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text} must be more than 0 seconds")
    return value
