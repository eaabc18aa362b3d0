"""``jelmon analyzer health``: its flags, and how it is made from them."""

import argparse
import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.event_analyzers import PipelineAnalyzers, PipelineSettings


class Included:
    """Nothing of its own: another runner of this process does the work."""

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()

    def checks(self) -> Mapping[str, Check]:
        """Nothing to depend on."""
        return {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of health, beside those of bottlenecks."""
    group = parser.add_argument_group("health")
    group.add_argument(
        "--health.file", dest="health_file", metavar="FILE", type=Path, help="weights and targets of health, YAML"
    )


def maker(args: argparse.Namespace) -> Callable[[Instruments], PipelineAnalyzers | Included]:
    """Makes the runner: health needs the verdict on bottlenecks, so it comes with it.

    Raises:
        ConfigError: a flag or a variable is wrong.
    """
    settings = PipelineSettings.read(args, os.environ)
    if args.analyzer == "all":
        return lambda _: Included()
    return lambda instruments: PipelineAnalyzers(settings, instruments, health=True)
