"""``jelmon analyzer health``: its flags, and the analyzers built from them."""

import argparse
import asyncio
from collections.abc import Callable, Mapping

from jelmon.config.reader import SettingsReader
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.event_analyzers.service import EventAnalyzers
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings


class IncludedInBottleneck:
    """Placeholder under ``all``, where the bottleneck command already runs health."""

    async def run(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()

    def checks(self) -> Mapping[str, Check]:
        """Return no dependencies."""
        return {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of health; `bottleneck_command` adds those it shares."""
    group = parser.add_argument_group("health")
    group.add_argument(
        "--health.file",
        dest="health_file",
        metavar="FILE",
        help="YAML file with the weights and targets of the health score (default: built-in values)",
    )


def maker(reader: SettingsReader) -> Callable[[Instruments], EventAnalyzers | IncludedInBottleneck]:
    """Return the factory of the analyzers; health needs the bottleneck severity, so both run.

    Raises:
        ConfigError: a flag or a variable is invalid.
    """
    settings = EventAnalyzersSettings.read(reader)
    if reader.text("analyzer") == "all":
        return lambda _: IncludedInBottleneck()
    return lambda instruments: EventAnalyzers(settings, instruments, health=True)
