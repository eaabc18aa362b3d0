"""``jelmon analyzer regression|bottleneck|health|all``: the flags, and running until told to stop."""

import argparse
import asyncio
import importlib
from pathlib import Path
from typing import Any

from jelmon.config.settings import ListenAddress
from jelmon.service.lifecycle import run_until_signal
from jelmon_analyzers.app import Analyzer, MakeRunner

DEFAULT_LISTEN = "127.0.0.1:9747"

RUNNERS = {
    "regression": "jelmon_analyzers.regression.flags",
    "bottleneck": "jelmon_analyzers.event_analyzers.bottleneck_command",
    "health": "jelmon_analyzers.event_analyzers.health_command",
}
"""Name -> module with ``add_arguments(parser)`` and ``maker(args)``: a function from instruments to a runner."""

_EPILOG = """\
examples:
  jelmon analyzer regression --prometheus.url http://127.0.0.1:9090 --regression.state /var/lib/jelmon/regression
  jelmon analyzer bottleneck --nats.url nats://127.0.0.1:4222 --recommendations.url sqlite:///recommendations.db
  jelmon analyzer all

and to ask:
  curl http://127.0.0.1:9747/metrics
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``jelmon analyzer``."""
    parser.epilog = _EPILOG
    parser.add_argument("analyzer", choices=[*RUNNERS, "all"], help="which to run")
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        default=DEFAULT_LISTEN,
        help="where to listen (default: %(default)s)",
    )
    parser.add_argument(
        "--web.config.file", dest="web_config", metavar="FILE", type=Path, help="TLS and users, as for Prometheus"
    )
    parser.add_argument(
        "--prometheus.url",
        dest="prometheus_url",
        metavar="URL",
        default="http://127.0.0.1:9090",
        help="whose history to read (default: %(default)s)",
    )
    for name in RUNNERS:
        _module(name).add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    names = list(RUNNERS) if args.analyzer == "all" else [args.analyzer]
    makers: dict[str, MakeRunner] = {name: _module(name).maker(args) for name in names}
    analyzer = Analyzer(makers, listen=ListenAddress.parse(args.listen), web_config=args.web_config)
    asyncio.run(run_until_signal(analyzer))
    return 0


def _module(name: str) -> Any:
    return importlib.import_module(RUNNERS[name])
