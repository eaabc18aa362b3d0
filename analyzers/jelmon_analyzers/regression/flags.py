"""The regression analyzer for the command line: its flags, and what they make."""

import argparse
import os
from pathlib import Path

from jelmon.config.settings import parse_duration, read_secret
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon_analyzers.app import MakeRunner
from jelmon_analyzers.regression.analyzer import DEFAULT_PREFIX, RegressionAnalyzer, RegressionSettings
from jelmon_analyzers.regression.signals import DEFAULTS, load
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the regression analyzer."""
    group = parser.add_argument_group("regression")
    group.add_argument(
        "--regression.signals",
        dest="regression_signals",
        metavar="FILE",
        type=Path,
        help="which signals to watch; without it, times, waits, failures and throughput of pipelines and stages",
    )
    group.add_argument(
        "--regression.time-zone",
        dest="regression_time_zone",
        metavar="ZONE",
        help="whose time of day and weekends are usual, for signals that name none: Europe/Berlin "
        "(default: JELMON_TIME_ZONE, else UTC)",
    )
    group.add_argument(
        "--regression.history",
        dest="regression_history",
        metavar="TIME",
        default="8d",
        help="how much to read when nothing was learnt yet (default: %(default)s)",
    )
    group.add_argument(
        "--regression.interval",
        dest="regression_interval",
        metavar="TIME",
        default="1m",
        help="how often to read on (default: %(default)s)",
    )
    group.add_argument(
        "--regression.lag",
        dest="regression_lag",
        metavar="TIME",
        default="30s",
        help="how old a minute must be before it is judged, as scrapes come late (default: %(default)s)",
    )
    group.add_argument(
        "--regression.young-step",
        dest="regression_young_step",
        metavar="TIME",
        default="15s",
        help="grain of the search for change points in series too young for a baseline (default: %(default)s)",
    )
    group.add_argument(
        "--regression.lease",
        dest="regression_lease",
        action="store_true",
        help="of several replicas, only the one that holds a lease in NATS (--nats.url) tells what it finds",
    )
    group.add_argument(
        "--regression.state",
        dest="regression_state",
        metavar="FOLDER",
        type=Path,
        help="where to keep what was learnt; without it and Redis, it is learnt again from history at each start",
    )
    group.add_argument(
        "--redis.url",
        dest="redis_url",
        metavar="URL",
        help="keep what was learnt in this Redis, for all replicas (default: REDIS_URL, unless there is a folder)",
    )


def maker(args: argparse.Namespace) -> MakeRunner:
    """Makes the analyzer that the flags ask for.

    Raises:
        ConfigError: a flag is wrong.
        DefinitionError: the file of signals is.
    """
    settings = RegressionSettings(
        prometheus_url=args.prometheus_url,
        signals=load(args.regression_signals) if args.regression_signals else DEFAULTS,
        time_zone=args.regression_time_zone or os.environ.get("JELMON_TIME_ZONE") or UTC,
        history_seconds=parse_duration(args.regression_history, name="--regression.history"),
        cycle_seconds=parse_duration(args.regression_interval, name="--regression.interval"),
        lag_seconds=parse_duration(args.regression_lag, name="--regression.lag"),
        recent_step_seconds=parse_duration(args.regression_young_step, name="--regression.young-step"),
        state=args.regression_state,
        redis_url=args.redis_url or (None if args.regression_state else os.environ.get("REDIS_URL") or None),
        redis_password=read_secret(os.environ, "REDIS_PASSWORD"),
        redis_prefix=os.environ.get("REDIS_PREFIX") or DEFAULT_PREFIX,
    )
    nats = NatsSettings.from_environ(os.environ, url=args.nats_url) if args.regression_lease else None
    return lambda instruments: RegressionAnalyzer(
        settings, instruments, lease=Lease(nats, "regression") if nats is not None else None
    )
