"""The exporter's settings: environment variables, and flags that come before them."""

import math
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jelmon.config.settings import ListenAddress, parse_duration, read_secret
from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon_exporter.counting.ledger import Limits

DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9746)
WITHOUT_NATS = "none"
"""In place of the address of NATS: events come over HTTP only, and are kept in our own state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings:
    """All that the exporter can be told."""

    listen_address: ListenAddress = DEFAULT_ADDRESS
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    lifecycle: bool = False  # whether a request may have the files read again
    nats: NatsSettings | None = field(default_factory=NatsSettings)  # None: without NATS
    redis_url: str | None = None  # None: state in memory
    redis_password: str | None = field(default=None, repr=False)
    redis_prefix: str = "jelmore"
    state_path: Path | None = None  # without Redis: state on local disk
    collection_interval: float = 30.0
    retention: float = 7 * 86400.0
    label_limit: int = 200
    series_idle: float = 86400.0
    batch_messages: int = 1000
    batch_seconds: float = 0.2
    host: str = field(default_factory=socket.gethostname)
    replica: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    pipelines_file: Path | None = None
    targets_file: Path | None = None  # services to probe

    def __post_init__(self) -> None:
        if not self.telemetry_path.startswith("/") or self.telemetry_path == "/":
            raise ConfigError(
                f"--web.telemetry-path: {self.telemetry_path!r} is not a path", hint="for example /metrics"
            )
        if self.telemetry_path.startswith(("/-/", "/api/")) or self.telemetry_path == "/health":
            raise ConfigError(f"--web.telemetry-path: {self.telemetry_path} has another use", hint="keep /metrics")
        if self.redis_url is not None and (
            urlsplit(self.redis_url).scheme not in ("redis", "rediss", "unix")
            or "@" in self.redis_url
            or not _has_database(self.redis_url)
        ):
            raise ConfigError(
                "REDIS_URL: not the address of a Redis server",
                hint="write redis://host:6379/0, or rediss:// for TLS; a password goes into REDIS_PASSWORD_FILE",
            )
        if self.redis_url is not None and self.state_path is not None:
            raise ConfigError("both a Redis and a state file are given", hint="choose --redis.url or --state.path")
        if self.nats is None and self.redis_url is not None:
            raise ConfigError(
                "REDIS_URL: without NATS nothing divides the events between replicas",
                hint="keep the state with --state.path, or give the address of NATS",
            )
        if not self.redis_prefix or set(self.redis_prefix) & set("{} \n"):
            raise ConfigError(f"REDIS_PREFIX: {self.redis_prefix!r} cannot begin a key", hint="for example jelmore")
        for name, value, least in (
            ("METRICS_COLLECTION_INTERVAL", self.collection_interval, 1.0),
            ("METRICS_RETENTION_DAYS", self.retention / 86400, 0.001),
            ("METRICS_LABEL_LIMIT", self.label_limit, 1),
            ("METRICS_SERIES_IDLE", self.series_idle, 60.0),
            ("METRICS_BATCH_EVENTS", self.batch_messages, 1),
            ("METRICS_BATCH_INTERVAL", self.batch_seconds, 0.001),
        ):
            if value < least:
                raise ConfigError(f"{name}: {value:g} is too small, at least {least:g}")

    @property
    def limits(self) -> Limits:
        """What bounds the memory of the whole exporter; see `Limits.share`."""
        return Limits(label_values=self.label_limit, retention_seconds=self.retention, idle_seconds=self.series_idle)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], **flags: Any) -> "ExporterSettings":
        """Read the environment. ``flags`` that are not None come before it, named as the fields.

        Raises:
            ConfigError: a variable or flag is wrong; the message names it.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        url = given.pop("nats_url", None) or environ.get("NATS_URL")
        nats = None if url == WITHOUT_NATS else NatsSettings.from_environ(environ, url=url)
        values: dict[str, Any] = {
            "nats": nats,
            "redis_url": environ.get("REDIS_URL") or None,
            "redis_password": read_secret(environ, "REDIS_PASSWORD"),
        }
        if environ.get("REDIS_PREFIX"):
            values["redis_prefix"] = environ["REDIS_PREFIX"]
        if environ.get("JELMON_STATE_PATH"):
            values["state_path"] = Path(environ["JELMON_STATE_PATH"])
        if environ.get("METRICS_COLLECTION_INTERVAL"):
            values["collection_interval"] = parse_duration(
                environ["METRICS_COLLECTION_INTERVAL"], name="METRICS_COLLECTION_INTERVAL"
            )
        if environ.get("METRICS_RETENTION_DAYS"):
            values["retention"] = 86400 * _number(environ, "METRICS_RETENTION_DAYS")
        if environ.get("METRICS_LABEL_LIMIT"):
            values["label_limit"] = _whole(environ, "METRICS_LABEL_LIMIT")
        if environ.get("METRICS_SERIES_IDLE"):
            values["series_idle"] = parse_duration(environ["METRICS_SERIES_IDLE"], name="METRICS_SERIES_IDLE")
        if environ.get("METRICS_BATCH_EVENTS"):
            values["batch_messages"] = _whole(environ, "METRICS_BATCH_EVENTS")
        if environ.get("METRICS_BATCH_INTERVAL"):
            values["batch_seconds"] = parse_duration(environ["METRICS_BATCH_INTERVAL"], name="METRICS_BATCH_INTERVAL")
        if environ.get("JELMON_HOST"):
            values["host"] = environ["JELMON_HOST"]
        if environ.get("JELMON_PIPELINES"):
            values["pipelines_file"] = Path(environ["JELMON_PIPELINES"])
        if environ.get("JELMON_TARGETS"):
            values["targets_file"] = Path(environ["JELMON_TARGETS"])
        return cls(**(values | given))


def _has_database(url: str) -> bool:
    """The client takes a database that is no number for database 0."""
    parts = urlsplit(url)
    return parts.scheme == "unix" or parts.path.strip("/").isdecimal() or parts.path in ("", "/")


def _whole(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ[name])
    except ValueError as error:
        raise ConfigError(f"{name}: {environ[name]!r} is not a whole number", hint="write 200, for example") from error


def _number(environ: Mapping[str, str], name: str) -> float:
    try:
        value = float(environ[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name}: {environ[name]!r} is not a number", hint="write 7 or 0.5, for example")
    return value
