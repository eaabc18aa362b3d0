"""``jelmon report``: one file about the last days."""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from jelmon.catalogue import Service
from jelmon.config.reader import SettingsReader
from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError
from jelmon.service.registry import Instruments
from jelmon_board.collection import Collector
from jelmon_board.command import add_source_arguments
from jelmon_board.report.gather import gather
from jelmon_board.report.render import pdf, render
from jelmon_board.settings import SourceSettings

_EPILOG = """\
examples:
  jelmon report -o report.html                the last seven days
  jelmon report --since 30d -o report.pdf     as PDF, with Chromium
  jelmon report -o - | mail -a 'Content-Type: text/html' -s 'Pipelines this week' team@example.org
"""
_SHORTEST_SECONDS, _LONGEST_SECONDS = 600.0, 366 * 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon report``."""
    parser.epilog = _EPILOG
    parser.add_argument("--since", metavar="TIME", default="7d", help="how far to look back (default: 7d)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="file to write; .pdf needs Chromium, - is stdout (default: report.html)",
    )
    add_source_arguments(parser, embedded=False)


def run(args: argparse.Namespace) -> int:
    """Write the report. Return 1 if nothing could be read."""
    seconds = parse_duration(args.since, name="--since")
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise ConfigError("--since must be from 10m to 366d", hint="write 7d")
    args.embedded = False
    settings = SourceSettings.read(SettingsReader(args, os.environ))
    material = asyncio.run(gather(Collector(settings, Instruments(Service.BOARD)), seconds))
    text = render(material)
    if args.output == "-":
        sys.stdout.write(text)
    elif args.output.lower().endswith(".pdf"):
        with tempfile.TemporaryDirectory(prefix="jelmon-report-") as folder:
            html = Path(folder) / "report.html"
            html.write_text(text, encoding="utf-8")
            pdf(html, Path(args.output))
    else:
        _write(Path(args.output), text)
    return 0 if any(state.ok for state in material.snapshot.sources.values()) else 1


def _write(path: Path, text: str) -> None:
    """Write a file as a whole: who reads it meanwhile sees the old one."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
