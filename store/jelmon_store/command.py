"""``jelmon store``: flags and wiring."""

import argparse
import asyncio
import os

from jelmon.config.reader import SettingsReader
from jelmon.service.gc_tuning import collect_rarely
from jelmon.service.lifecycle import run_until_signal
from jelmon_store.app import Store
from jelmon_store.commands import backfill, cardinality, delete, migrate, view
from jelmon_store.maintenance.settings import add_retention_arguments
from jelmon_store.read.settings import add_read_arguments
from jelmon_store.settings import DEFAULT_ADDRESS, StoreSettings, add_database_argument, add_write_arguments

_COMMANDS = {
    "migrate": (migrate, "make or migrate the tables and exit"),
    "delete": (delete, "delete the samples of some series in a time range"),
    "cardinality": (cardinality, "show which metrics and labels have most series"),
    "view": (view, "make SQL views of metrics, with labels as columns"),
    "backfill": (backfill, "send dumps of Prometheus blocks, or another remote-read source, to a running store"),
}
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
    subparsers = parser.add_subparsers(title="commands", description="Without a command, serve.", metavar="COMMAND")
    for name, (module, help_text) in _COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(store_run=module.run)
    parser.set_defaults(store_run=_serve)


def run(args: argparse.Namespace) -> int:
    """Run a command, or serve."""
    return int(args.store_run(args))


def _serve(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = StoreSettings.read(SettingsReader(args, os.environ))
    collect_rarely()
    asyncio.run(run_until_signal(Store(settings)))
    return 0
