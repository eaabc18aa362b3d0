"""``jelmon analyzer regression|bottleneck|health|all``: the flags, and running until told to stop."""

import argparse
import asyncio
import importlib
import signal
from pathlib import Path
from typing import Any

from jelmon.config.settings import ListenAddress
from jelmon_analyzers.app import Analyzer, MakeRunner

DEFAULT_LISTEN = "127.0.0.1:9747"

RUNNERS = {
    "regression": "jelmon_analyzers.regression.flags",
    "bottleneck": "jelmon_analyzers.bottleneck.runner",
    "health": "jelmon_analyzers.health.runner",
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
    asyncio.run(_serve(Analyzer(makers, listen=ListenAddress.parse(args.listen), web_config=args.web_config)))
    return 0


async def _serve(analyzer: Analyzer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await analyzer.start()
        assert analyzer.failed is not None
        stopped = asyncio.create_task(stop.wait())
        waited_for: list[asyncio.Future[Any]] = [stopped, analyzer.failed]
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if analyzer.failed.done():
            analyzer.failed.result()
    finally:
        await analyzer.stop()


def _module(name: str) -> Any:
    return importlib.import_module(RUNNERS[name])
