"""``jelmon board``: flags and wiring."""

import argparse
import asyncio
import os

from jelmon.config.reader import SettingsReader
from jelmon.service.lifecycle import run_until_signal
from jelmon_board import settings
from jelmon_board.app import Board
from jelmon_board.settings import BoardSettings

_EPILOG = """\
examples:
  jelmon board                       everything on this machine, at the usual ports: http://127.0.0.1:9750/
  jelmon board --embedded            with an exporter alone: the board keeps the last day itself
  jelmon board --prometheus.url http://prometheus:9090 --alertmanager.url http://alertmanager:9093 \\
      --web.config.file /etc/jelmon/web.yml --web.listen-address :9750

Whatever does not answer, its part of the page says what to start; the rest works.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon board``."""
    parser.epilog = _EPILOG
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address",
        dest="web_listen_address",
        metavar="ADDRESS",
        help=f"host:port, :port for all interfaces, or port for loopback (default: {settings.DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        help="TLS, basic auth and headers, in the web-config format of Prometheus exporters",
    )
    web.add_argument("--refresh", metavar="TIME", help="time between two readings of the sources (default: 5s)")
    web.add_argument(
        "--enable-actions",
        dest="enable_actions",
        action="store_true",
        help="let readers silence and acknowledge alerts and send a test alert; needs a login in --web.config.file, "
        "unless the board listens on loopback",
    )
    add_source_arguments(parser)


def add_source_arguments(parser: argparse.ArgumentParser, *, embedded: bool = True) -> None:
    """Add the flags that say where to read."""
    group = parser.add_argument_group(
        "sources", "A file named by BOARD_CREDENTIALS_FILE holds user:password for exporter, analyzers and responder."
    )
    for flag, default, repeat, text in (
        ("--exporter.url", settings.DEFAULT_EXPORTER, True, "exporter; repeat for each replica"),
        ("--analyzer.url", settings.DEFAULT_ANALYZER, True, "analyzers; repeat for several"),
        ("--responder.url", settings.DEFAULT_RESPONDER, False, "responder, for the history of alerts"),
        ("--prometheus.url", settings.DEFAULT_PROMETHEUS, False, "Prometheus, for lines over time and rules"),
        ("--alertmanager.url", settings.DEFAULT_ALERTMANAGER, False, "Alertmanager, for alerts and silences"),
    ):
        group.add_argument(
            flag,
            dest=flag.removeprefix("--").replace(".", "_"),
            metavar="URL",
            action="append" if repeat else "store",
            help=f"{text} (default: {default})",
        )
    group.add_argument(
        "--alertmanager.external-url",
        dest="alertmanager_external_url",
        metavar="URL",
        help="where a browser reaches Alertmanager (default: --alertmanager.url)",
    )
    if not embedded:
        return
    group.add_argument(
        "--embedded",
        action="store_true",
        help="ask no Prometheus: keep the lines of the last day in memory",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(run_until_signal(Board(BoardSettings.read(SettingsReader(args, os.environ)))))
    return 0
