"""Command-line flags of the regression analyzer."""

import argparse

from jelmon.config.reader import SettingsReader, given
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon_analyzers.app import MakeRunner
from jelmon_analyzers.regression.analyzer import RegressionAnalyzer
from jelmon_analyzers.regression.settings import RegressionSettings
from jelmon_analyzers.regression.signals import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the regression analyzer."""
    group = parser.add_argument_group("regression")
    group.add_argument(
        "--regression.signals",
        dest="regression_signals",
        metavar="FILE",
        help="YAML file with the signals to monitor (default: durations, waits, failures and throughput of "
        "pipelines and stages)",
    )
    group.add_argument(
        "--regression.time-zone",
        dest="regression_time_zone",
        metavar="ZONE",
        help="time zone of daily and weekly patterns, such as Europe/Berlin, for signals without their own time_zone "
        "(default: JELMON_TIME_ZONE, else UTC)",
    )
    group.add_argument(
        "--regression.history",
        dest="regression_history",
        metavar="TIME",
        help="length of history to learn from when there is no saved state (default: 8d)",
    )
    group.add_argument(
        "--regression.interval",
        dest="regression_interval",
        metavar="TIME",
        help="time between reads of Prometheus (default: 1m)",
    )
    group.add_argument(
        "--regression.lag",
        dest="regression_lag",
        metavar="TIME",
        help="age at which a minute is judged, to allow for late scrapes (default: 30s)",
    )
    group.add_argument(
        "--regression.young-step",
        dest="regression_young_step",
        metavar="TIME",
        help="step of the change-point search in series without enough history for a baseline (default: 15s)",
    )
    group.add_argument(
        "--regression.lease",
        dest="regression_lease",
        action="store_true",
        help="with several replicas: only the holder of a lease in NATS (--nats.url) exports gauges",
    )
    group.add_argument(
        "--regression.state",
        dest="regression_state",
        metavar="FOLDER",
        help="folder for saved state (default: none; without Redis either, each start relearns from history)",
    )
    group.add_argument(
        "--redis.url",
        dest="redis_url",
        metavar="URL",
        help="Redis for saved state, shared by all replicas (default: REDIS_URL, unless --regression.state is given)",
    )


def maker(reader: SettingsReader) -> MakeRunner:
    """Return a function that makes the regression analyzer.

    Raises:
        ConfigError: a flag or an environment variable is invalid.
        DefinitionError: the file of signals has faults.
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
