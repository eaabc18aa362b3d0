"""``jelmon exporter``: flags and wiring."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from jelmon.config.reader import SettingsReader
from jelmon.nats.connection import add_nats_arguments
from jelmon.service.gc_tuning import collect_rarely
from jelmon.service.lifecycle import run_until_signal
from jelmon_exporter.app import Exporter
from jelmon_exporter.dry_run import dry_run
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import DEFAULT_ADDRESS, ExporterSettings
from jelmon_exporter.sources.pipelines_file import load_pipelines
from jelmon_exporter.state.disk import check_path
from jelmon_exporter.state.memory import MemoryStore

_EPILOG = """\
examples:
  jelmon exporter                                       events from the local NATS server, state in memory
  jelmon exporter --redis.url redis://127.0.0.1:6379/0  counters survive restarts, replicas share the work
  jelmon exporter --state.path /var/lib/jelmon/state    counters survive restarts without Redis
  jelmon exporter --nats.url none --state.path FILE     without NATS: events come over HTTP, state in the file
  jelmon exporter --pipelines pipelines.yaml            declare pipelines that do not declare themselves
  jelmon exporter --targets targets.yaml                probe services too
  jelmon exporter --dry-run events.jsonl                print the metrics for these events, without any server
  jelmon exporter --check-config                        check flags, environment and files, then exit

environment: NATS_URL, REDIS_URL, REDIS_PASSWORD_FILE, REDIS_PREFIX, JELMON_STATE_PATH, JELMON_HOST, JELMON_PIPELINES,
JELMON_TARGETS, METRICS_COLLECTION_INTERVAL (30s), METRICS_RETENTION_DAYS (7), METRICS_LABEL_LIMIT (200),
METRICS_SERIES_IDLE (24h), METRICS_BATCH_EVENTS (1000), METRICS_BATCH_INTERVAL (200ms). Flags take precedence.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon exporter``."""
    parser.epilog = _EPILOG
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address",
        dest="web_listen_address",
        metavar="ADDRESS",
        help=f"host:port, :port for all interfaces, or port for loopback (default: {DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web.telemetry-path",
        dest="web_telemetry_path",
        metavar="PATH",
        help="path of the metrics (default: /metrics)",
    )
    web.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        help="TLS, basic auth and headers, in the web-config format of Prometheus exporters",
    )
    web.add_argument(
        "--web.events",
        dest="web_events",
        metavar="on|off",
        help="whether POST /api/v1/events takes events (default: on)",
    )
    web.add_argument(
        "--web.events-users",
        dest="web_events_users",
        metavar="NAMES",
        help="users of the web config, separated by commas, who alone may post events and may do nothing else",
    )
    web.add_argument(
        "--web.enable-lifecycle",
        dest="web_enable_lifecycle",
        action="store_true",
        help="allow POST /-/reload to reload the targets and pipelines files, as SIGHUP does",
    )
    add_nats_arguments(parser)
    state = parser.add_argument_group("state")
    state.add_argument(
        "--redis.url",
        dest="redis_url",
        metavar="URL",
        help="Redis server that stores counters, cards and the stream position, shared by replicas "
        "(default: REDIS_URL)",
    )
    state.add_argument(
        "--state.path",
        dest="state_path",
        metavar="FILE",
        help="file that stores them instead; each replica has its own and one of them shows the metrics (default: "
        "JELMON_STATE_PATH; with neither, state is in memory and a restart counts the stream from its start)",
    )
    parser.add_argument(
        "--pipelines",
        dest="pipelines",
        metavar="FILE",
        help="YAML file that declares pipelines (default: JELMON_PIPELINES)",
    )
    parser.add_argument(
        "--targets", dest="targets", metavar="FILE", help="YAML file of services to probe (default: JELMON_TARGETS)"
    )
    parser.add_argument(
        "--collection-interval",
        dest="collection_interval",
        metavar="DURATION",
        help="time between readings of system metrics (default: METRICS_COLLECTION_INTERVAL, else 30s)",
    )
    parser.add_argument(
        "--dry-run",
        type=Path,
        metavar="FILE",
        help="print the metrics for the events of this JSON Lines file (- for standard input) and exit",
    )
    parser.add_argument("--check-config", action="store_true", help="check flags, environment and files, then exit")


def run(args: argparse.Namespace) -> int:
    """Run the exporter until SIGTERM or SIGINT.

    Raises:
        ConfigError, DefinitionError: settings or files are wrong.
    """
    settings = ExporterSettings.read(SettingsReader(args, os.environ))
    if args.dry_run is not None:
        return _dry_run(args.dry_run, settings)
    if args.check_config:
        return asyncio.run(_check(settings))
    asyncio.run(_serve(settings))
    return 0


def _dry_run(path: Path, settings: ExporterSettings) -> int:
    view = View()
    if settings.pipelines_file is not None:
        view.declare("file", load_pipelines(settings.pipelines_file))
    page, faults = dry_run(path, settings, view)
    sys.stdout.write(page)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


async def _check(settings: ExporterSettings) -> int:
    store = None
    if settings.state_path is not None:
        check_path(settings.state_path)
        store = MemoryStore()  # a check makes no file
    exporter = Exporter(settings, store=store)
    await exporter.store.close()
    for line in exporter.notes():
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("configuration is fine\n")
    return 0


async def _serve(settings: ExporterSettings) -> None:
    collect_rarely()
    exporter = Exporter(settings)
    await run_until_signal(exporter, on_hangup=exporter.reloader.reload)
