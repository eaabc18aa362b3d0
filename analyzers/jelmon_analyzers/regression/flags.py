"""The regression analyzer for the command line: its flags, and what they make."""

import argparse

from jelmon.config.reader import SettingsReader, given
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon_analyzers.app import MakeRunner
from jelmon_analyzers.regression.analyzer import RegressionAnalyzer, RegressionSettings
from jelmon_analyzers.regression.signals import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the regression analyzer."""
    group = parser.add_argument_group("regression")
    group.add_argument(
        "--regression.signals",
        dest="regression_signals",
        metavar="FILE",
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
        help="how much to read when nothing was learnt yet (default: 8d)",
    )
    group.add_argument(
        "--regression.interval",
        dest="regression_interval",
        metavar="TIME",
        help="how often to read on (default: 1m)",
    )
    group.add_argument(
        "--regression.lag",
        dest="regression_lag",
        metavar="TIME",
        help="how old a minute must be before it is judged, as scrapes come late (default: 30s)",
    )
    group.add_argument(
        "--regression.young-step",
        dest="regression_young_step",
        metavar="TIME",
        help="grain of the search for change points in series too young for a baseline (default: 15s)",
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
        help="where to keep what was learnt; without it and Redis, it is learnt again from history at each start",
    )
    group.add_argument(
        "--redis.url",
        dest="redis_url",
        metavar="URL",
        help="keep what was learnt in this Redis, for all replicas (default: REDIS_URL, unless there is a folder)",
    )


def maker(reader: SettingsReader) -> MakeRunner:
    """Return a function that makes the regression analyzer.

    Raises:
        ConfigError: a flag or a variable is wrong.
        DefinitionError: the file of signals is wrong.
    """
    signals, state = reader.path("--regression.signals"), reader.path("--regression.state")
    settings = RegressionSettings(
        redis_password=reader.secret("REDIS_PASSWORD"),
        **given(
            prometheus_url=reader.text("--prometheus.url"),
            signals=load(signals) if signals is not None else None,
            time_zone=reader.text("--regression.time-zone", "JELMON_TIME_ZONE"),
            history_seconds=reader.duration("--regression.history"),
            cycle_seconds=reader.duration("--regression.interval"),
            lag_seconds=reader.duration("--regression.lag"),
            recent_step_seconds=reader.duration("--regression.young-step"),
            state=state,
            redis_url=reader.text("--redis.url", "REDIS_URL" if state is None else ""),
            redis_prefix=reader.text(variable="REDIS_PREFIX"),
        ),
    )
    nats = None
    if reader.switch("--regression.lease"):
        nats = NatsSettings.from_environ(reader.environ, url=reader.text("--nats.url"))
    return lambda instruments: RegressionAnalyzer(
        settings, instruments, lease=Lease(nats, "regression") if nats is not None else None
    )
