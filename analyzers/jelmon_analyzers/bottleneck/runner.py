"""``jelmon analyzer bottleneck``: its flags, and how it is made from them."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from jelmon.nats.connection import add_nats_arguments
from jelmon.service.registry import Instruments
from jelmon_analyzers.event_analyzers import PipelineAnalyzers, PipelineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of everything that follows events, but for those of health."""
    group = parser.add_argument_group("bottlenecks and suggestions")
    group.add_argument(
        "--bottleneck.window",
        dest="bottleneck_window",
        metavar="TIME",
        default="15m",
        help="what a verdict is about; 30m is steadier, and finds a shift only after 20 minutes (default: %(default)s)",
    )
    group.add_argument(
        "--bottleneck.interval",
        dest="bottleneck_interval",
        metavar="TIME",
        default="15s",
        help="time between two verdicts (default: %(default)s)",
    )
    group.add_argument(
        "--strategies.file",
        dest="strategies_file",
        metavar="FILE",
        type=Path,
        help="the table of suggestions, YAML (default: the one that comes with jelmon)",
    )
    group.add_argument(
        "--recommendations.url",
        dest="recommendations_url",
        metavar="URL",
        help="where suggestions and what came of them are written: sqlite:///path or postgresql://user@host/database "
        "(default: what the file named by RECOMMENDATIONS_DATABASE_URL_FILE holds, else nowhere)",
    )
    add_nats_arguments(parser)


def maker(args: argparse.Namespace) -> Callable[[Instruments], PipelineAnalyzers]:
    """Makes the runner. Beside all others it scores health too, so that one consumer does for both.

    Raises:
        ConfigError: a flag or a variable is wrong.
    """
    settings = PipelineSettings.read(args, os.environ)
    return lambda instruments: PipelineAnalyzers(settings, instruments, health=args.analyzer == "all")
