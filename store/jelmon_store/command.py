"""``jelmon store``: flags and wiring."""

import argparse
import asyncio
import os

from jelmon.config.reader import SettingsReader
from jelmon.service.lifecycle import run_until_signal
from jelmon_store.app import Store
from jelmon_store.maintenance.settings import add_retention_arguments
from jelmon_store.read.settings import add_read_arguments
from jelmon_store.settings import DEFAULT_ADDRESS, StoreSettings, add_database_argument, add_write_arguments

_EPILOG = """\
examples:
  jelmon store --database.url postgresql://jelmon@127.0.0.1/jelmon
  STORE_DATABASE_URL_FILE=/etc/jelmon/database-url jelmon store --web.listen-address :9749

in prometheus.yml:
  remote_write: [{url: 'http://127.0.0.1:9749/api/v1/write'}]
  remote_read: [{url: 'http://127.0.0.1:9749/api/v1/read'}]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon store``."""
    parser.epilog = _EPILOG
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address",
        dest="web_listen_address",
        metavar="ADDRESS",
        help=f"host:port, :port for all interfaces, or port for loopback (default: {DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        help="TLS, basic auth and headers, in the web-config format of Prometheus exporters",
    )
    add_database_argument(parser)
    add_write_arguments(parser)
    add_read_arguments(parser)
    add_retention_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = StoreSettings.read(SettingsReader(args, os.environ))
    asyncio.run(run_until_signal(Store(settings)))
    return 0
