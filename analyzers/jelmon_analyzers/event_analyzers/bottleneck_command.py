"""``jelmon analyzer bottleneck``: its flags, and the analyzers built from them."""

import argparse
from collections.abc import Callable

from jelmon.config.reader import SettingsReader
from jelmon.nats.connection import add_nats_arguments
from jelmon.service.registry import Instruments
from jelmon_analyzers.event_analyzers.service import EventAnalyzers
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that all analyzers of events share; `health_command` adds those of health."""
    group = parser.add_argument_group("bottlenecks and suggestions")
    group.add_argument(
        "--bottleneck.window",
        dest="bottleneck_window",
        metavar="TIME",
        help="length of the analysis window; 30m gives steadier results but takes 20 minutes to detect a shift "
        "(default: 15m)",
    )
    group.add_argument(
        "--bottleneck.interval",
        dest="bottleneck_interval",
        metavar="TIME",
        help="time between two analyses (default: 15s)",
    )
    group.add_argument(
        "--strategies.file",
        dest="strategies_file",
        metavar="FILE",
        help="YAML table of suggestion strategies (default: the table shipped with jelmon)",
    )
    group.add_argument(
        "--recommendations.url",
        dest="recommendations_url",
        metavar="URL",
        help="database for suggestions and their measured effect: sqlite:///path or postgresql://user@host/database "
        "(default: the content of the file named by RECOMMENDATIONS_DATABASE_URL_FILE, else no database)",
    )
    add_nats_arguments(parser)


def maker(reader: SettingsReader) -> Callable[[Instruments], EventAnalyzers]:
    """Return the factory of the analyzers; under ``all`` they include health, so that one consumer serves both.

    Raises:
        ConfigError: a flag or a variable is invalid.
    """
    settings = EventAnalyzersSettings.read(reader)
    return lambda instruments: EventAnalyzers(settings, instruments, health=reader.text("analyzer") == "all")
