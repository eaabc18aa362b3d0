"""``jelmon routes explain``: who is notified of an alert, by which route, when, and what suppresses it."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from jelmon.errors import ConfigError
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.live.explain import explain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "action", choices=("explain",), help="explain: show who is notified of an alert with these labels"
    )
    parser.add_argument(
        "labels",
        nargs="+",
        metavar="NAME=VALUE",
        help="labels of the alert; alertname or rule_id adds those of its definition",
    )
    parser.add_argument("--at", metavar="TIME", help="time of the alert, such as 2026-02-01T03:00+01:00 (default: now)")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that contains rules/ (default: .)"
    )
    parser.epilog = """examples:
  jelmon routes explain alertname=PipelineStalled pipeline=checkout
  jelmon routes explain rule_id=pipeline_stalled escalation_level=2
  jelmon routes explain severity=warning --at 2026-02-01T03:00+01:00

The exit code is 1 if nobody is notified at that time.
"""


def run(args: argparse.Namespace) -> int:
    """Explain one set of labels; exit code 1 if nobody is notified."""
    labels = {}
    for text in args.labels:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{text!r} is not a label", hint="use NAME=VALUE, for example severity=critical")
        labels[name] = value
    made = compile_bundle(args.root)
    explanation = explain(made, labels, _moment(args.at))
    sys.stdout.write("\n".join(explanation.lines) + "\n")
    return 0 if explanation.reaches_somebody else 1


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--at: {text!r} is not a time", hint="use the form 2026-02-01T03:00+01:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
