"""The exporter's settings, from flags and the environment."""

import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from jelmon.config.reader import SettingsReader, given
from jelmon.config.settings import ListenAddress, Secret
from jelmon.config.urls import check_redis_url
from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon_exporter.counting.limits import Limits

DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9746)
WITHOUT_NATS = "none"
"""In place of a NATS URL: events come over HTTP only and are counted into the local state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings:
    """Settings of one exporter."""

    listen_address: ListenAddress = DEFAULT_ADDRESS
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    events: bool = True  # whether POST /api/v1/events is served
    events_users: tuple[str, ...] = ()  # of the web config: only they may post events, and they nothing else
    lifecycle: bool = False  # whether POST /-/reload is allowed
    nats: NatsSettings | None = field(default_factory=NatsSettings)  # None: without NATS
    redis_url: str | None = None  # None: state in memory
    redis_password: Secret | None = field(default=None, repr=False)
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
                f"--web.telemetry-path: {self.telemetry_path!r} is not allowed", hint="write a path such as /metrics"
            )
        if self.telemetry_path.startswith(("/-/", "/api/")) or self.telemetry_path == "/health":
            raise ConfigError(
                f"--web.telemetry-path: {self.telemetry_path} is reserved for another endpoint", hint="use /metrics"
            )
        if self.redis_url is not None:
            check_redis_url(self.redis_url, name="REDIS_URL")
            if not _has_numbered_database(self.redis_url):
                raise ConfigError(
                    "REDIS_URL: not the address of a Redis server", hint="the database is a number: redis://host:6379/0"
                )
        if self.redis_url is not None and self.state_path is not None:
            raise ConfigError(
                "a Redis URL and a state file are both given", hint="give either --redis.url or --state.path"
            )
        if self.nats is None and not self.events:
            raise ConfigError(
                "--web.events=off: without NATS, events come over HTTP only", hint="set --nats.url, or --web.events=on"
            )
        if self.events_users and self.web_config_file is None:
            raise ConfigError(
                "--web.events-users: there are no users without a web config", hint="name one with --web.config.file"
            )
        if self.nats is None and self.redis_url is not None:
            raise ConfigError(
                "REDIS_URL: replicas that share a Redis need NATS to divide the events among them",
                hint="keep the state with --state.path, or set --nats.url",
            )
        if not self.redis_prefix or set(self.redis_prefix) & set("{} \n"):
            raise ConfigError(
                f"REDIS_PREFIX: {self.redis_prefix!r} is not allowed: it is empty or has a space or brace in it",
                hint="for example jelmore",
            )
        for name, value, least in (
            ("METRICS_COLLECTION_INTERVAL", self.collection_interval, 1.0),
            ("METRICS_RETENTION_DAYS", self.retention / 86400, 0.001),
            ("METRICS_LABEL_LIMIT", self.label_limit, 1),
            ("METRICS_SERIES_IDLE", self.series_idle, 60.0),
            ("METRICS_BATCH_EVENTS", self.batch_messages, 1),
            ("METRICS_BATCH_INTERVAL", self.batch_seconds, 0.001),
        ):
            if value < least:
                raise ConfigError(f"{name}: {value:g} is too small, the minimum is {least:g}")

    @property
    def limits(self) -> Limits:
        """Return the limits that bound the memory of the whole exporter; see `Limits.share`."""
        return Limits(label_values=self.label_limit, retention_seconds=self.retention, idle_seconds=self.series_idle)

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags and the environment.

        Raises:
            ConfigError: a variable or flag is wrong; the message names it.
        """
        nats_url = reader.text("--nats.url", "NATS_URL")
        retention_days = reader.number(variable="METRICS_RETENTION_DAYS")
        return cls(
            nats=None if nats_url == WITHOUT_NATS else NatsSettings.from_environ(reader.environ, url=nats_url),
            lifecycle=reader.switch("--web.enable-lifecycle"),
            redis_password=reader.secret("REDIS_PASSWORD"),
            **given(
                listen_address=reader.address("--web.listen-address"),
                telemetry_path=reader.text("--web.telemetry-path"),
                web_config_file=reader.path("--web.config.file"),
                events=reader.choice("--web.events", {"on": True, "off": False}),
                events_users=reader.words("--web.events-users"),
                redis_url=reader.text("--redis.url", "REDIS_URL"),
                redis_prefix=reader.text(variable="REDIS_PREFIX"),
                state_path=reader.path("--state.path", "JELMON_STATE_PATH"),
                collection_interval=reader.duration("--collection-interval", "METRICS_COLLECTION_INTERVAL"),
                retention=86400 * retention_days if retention_days is not None else None,
                label_limit=reader.whole(variable="METRICS_LABEL_LIMIT"),
                series_idle=reader.duration(variable="METRICS_SERIES_IDLE"),
                batch_messages=reader.whole(variable="METRICS_BATCH_EVENTS"),
                batch_seconds=reader.duration(variable="METRICS_BATCH_INTERVAL"),
                host=reader.text(variable="JELMON_HOST"),
                pipelines_file=reader.path("--pipelines", "JELMON_PIPELINES"),
                targets_file=reader.path("--targets", "JELMON_TARGETS"),
            ),
        )


def _has_numbered_database(url: str) -> bool:
    """Return whether the database is a number or absent; redis-py reads anything else as database 0."""
    parts = urlsplit(url)
    return parts.scheme == "unix" or parts.path.strip("/").isdecimal() or parts.path in ("", "/")
