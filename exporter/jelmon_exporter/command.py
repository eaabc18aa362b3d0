"""``jelmon exporter``: flags, signals, and the exit code."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from jelmon.config.settings import ListenAddress, parse_duration
from jelmon.nats.connection import add_nats_arguments
from jelmon.service.lifecycle import run_until_signal
from jelmon_exporter.app import Exporter
from jelmon_exporter.dry_run import dry_run
from jelmon_exporter.gc_tuning import collect_seldom
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import DEFAULT_ADDRESS, ExporterSettings
from jelmon_exporter.sources.pipelines_file import load_pipelines
from jelmon_exporter.state.disk import check_path
from jelmon_exporter.state.memory import MemoryStore

_EPILOG = """\
examples:
  jelmon exporter                                      events from NATS on this machine, state in memory
  jelmon exporter --redis.url redis://127.0.0.1:6379/0 counters survive restarts, replicas share the work
  jelmon exporter --state.path /var/lib/jelmon/state   counters survive restarts, without Redis
  jelmon exporter --nats.url none --state.path FILE    without NATS: events come over HTTP, and are kept in the file
  jelmon exporter --pipelines pipelines.yaml           for pipelines that do not declare themselves
  jelmon exporter --targets targets.yaml               probe services as well
  jelmon exporter --dry-run events.jsonl               what these events would give, without any server
  jelmon exporter --check-config                       check flags, environment and files, then leave

environment: NATS_URL, REDIS_URL, REDIS_PASSWORD_FILE, REDIS_PREFIX, JELMON_STATE_PATH, JELMON_HOST, JELMON_PIPELINES,
JELMON_TARGETS, METRICS_COLLECTION_INTERVAL (30s), METRICS_RETENTION_DAYS (7), METRICS_LABEL_LIMIT (200),
METRICS_SERIES_IDLE (24h), METRICS_BATCH_EVENTS (1000), METRICS_BATCH_INTERVAL (200ms). Flags come first.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``jelmon exporter``."""
    parser.epilog = _EPILOG
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address",
        dest="listen_address",
        metavar="ADDRESS",
        help=f"host:port, :port for all interfaces, or port for loopback (default: {DEFAULT_ADDRESS})",
    )
    web.add_argument("--web.telemetry-path", dest="telemetry_path", metavar="PATH", help="default: /metrics")
    web.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="TLS, basic auth and headers, in the form that Prometheus' exporters share",
    )
    web.add_argument(
        "--web.enable-lifecycle",
        dest="lifecycle",
        action="store_true",
        help="let POST /-/reload read the files of targets and pipelines again, as SIGHUP does",
    )
    add_nats_arguments(parser)
    state = parser.add_argument_group("state")
    state.add_argument(
        "--redis.url",
        dest="redis_url",
        metavar="URL",
        help="where counters, cards and the position in the stream are kept, shared by replicas (default: REDIS_URL)",
    )
    state.add_argument(
        "--state.path",
        dest="state_path",
        type=Path,
        metavar="FILE",
        help="keep them in this file instead; each replica has its own, and one shows them (JELMON_STATE_PATH; without "
        "either they are in memory, and a restart counts the stream from its beginning)",
    )
    parser.add_argument(
        "--pipelines", dest="pipelines_file", type=Path, metavar="FILE", help="pipelines declared in YAML"
    )
    parser.add_argument(
        "--targets", dest="targets_file", type=Path, metavar="FILE", help="services to probe, in YAML (JELMON_TARGETS)"
    )
    parser.add_argument(
        "--collection-interval",
        dest="collection_interval",
        metavar="DURATION",
        help="how often system figures are read (default: METRICS_COLLECTION_INTERVAL, else 30s)",
    )
    parser.add_argument(
        "--dry-run",
        type=Path,
        metavar="FILE",
        help="print what would be exposed after the events of this JSON Lines file (- is standard input), then leave",
    )
    parser.add_argument("--check-config", action="store_true", help="check flags, environment and files, then leave")


def run(args: argparse.Namespace) -> int:
    """Run the exporter until SIGTERM or SIGINT.

    Raises:
        ConfigError, DefinitionError: settings or files are wrong.
    """
    settings = ExporterSettings.from_environ(
        os.environ,
        listen_address=ListenAddress.parse(args.listen_address) if args.listen_address else None,
        telemetry_path=args.telemetry_path,
        web_config_file=args.web_config_file,
        lifecycle=args.lifecycle,
        nats_url=args.nats_url,
        redis_url=args.redis_url,
        state_path=args.state_path,
        pipelines_file=args.pipelines_file,
        targets_file=args.targets_file,
        collection_interval=parse_duration(args.collection_interval, name="--collection-interval")
        if args.collection_interval
        else None,
    )
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
    collect_seldom()
    exporter = Exporter(settings)
    await run_until_signal(exporter, on_hangup=exporter.reloader.reload)
