"""``jelmon analyzer regression|bottleneck|health|all``: flags and wiring."""

import argparse
import asyncio
import importlib
import os
from typing import Any

from jelmon.config.reader import SettingsReader
from jelmon.service.lifecycle import run_until_signal
from jelmon_analyzers.app import Analyzer, MakeRunner
from jelmon_analyzers.settings import DEFAULT_ADDRESS, DEFAULT_PROMETHEUS_URL, AnalyzerSettings

ALL = "all"
RUNNERS = {
    "regression": "jelmon_analyzers.regression.flags",
    "bottleneck": "jelmon_analyzers.event_analyzers.bottleneck_command",
    "health": "jelmon_analyzers.event_analyzers.health_command",
}
"""Module of each analyzer: ``add_arguments(parser)``, and ``maker(reader)``, which returns a `MakeRunner`."""

_EPILOG = """\
examples:
  jelmon analyzer regression --prometheus.url http://127.0.0.1:9090 --regression.state /var/lib/jelmon/regression
  jelmon analyzer bottleneck --nats.url nats://127.0.0.1:4222 --recommendations.url sqlite:///recommendations.db
  jelmon analyzer all

then read the results:
  curl http://127.0.0.1:9747/metrics
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon analyzer``."""
    parser.epilog = _EPILOG
    parser.add_argument("analyzer", choices=[*RUNNERS, ALL], help="analyzer to run")
    parser.add_argument(
        "--web.listen-address",
        dest="web_listen_address",
        metavar="ADDRESS",
        help=f"host:port, :port for all interfaces, or port for loopback (default: {DEFAULT_ADDRESS})",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        help="TLS, basic auth and headers, in the web-config format of Prometheus exporters",
    )
    parser.add_argument(
        "--prometheus.url",
        dest="prometheus_url",
        metavar="URL",
        help=f"Prometheus server to read history from (default: {DEFAULT_PROMETHEUS_URL})",
    )
    for name in RUNNERS:
        _module(name).add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError, DefinitionError: settings or files are wrong.
    """
    reader = SettingsReader(args, os.environ)
    names = list(RUNNERS) if args.analyzer == ALL else [args.analyzer]
    makers: dict[str, MakeRunner] = {name: _module(name).maker(reader) for name in names}
    asyncio.run(run_until_signal(Analyzer(makers, AnalyzerSettings.read(reader))))
    return 0


def _module(name: str) -> Any:
    return importlib.import_module(RUNNERS[name])
