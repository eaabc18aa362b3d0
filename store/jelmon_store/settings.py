"""The store's settings, from flags and the environment."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from jelmon.config.reader import SettingsReader, given
from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError
from jelmon_store.maintenance.settings import RetentionSettings
from jelmon_store.read.settings import ReadSettings
from jelmon_store.series.labels import LabelLimits
from jelmon_store.wire.decoded import WireLimits

DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9749)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLimits:
    """Limits of remote write. None: no limit."""

    labels: LabelLimits = field(default_factory=LabelLimits)
    future_seconds: float = 600.0
    age_seconds: float | None = None
    samples_per_second: int | None = None  # of one tenant
    series_per_metric: int | None = 1_000_000  # of one tenant
    queued_samples: int = 500_000
    cached_series: int = 2_000_000

    def __post_init__(self) -> None:
        for name in ("samples_per_second", "series_per_metric", "queued_samples", "cached_series", "age_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"--limits.{name.removesuffix('_seconds').replace('_', '-')} must be more than 0")
        if self.future_seconds < 0:
            raise ConfigError("--limits.future must not be negative")

    @property
    def wire(self) -> WireLimits:
        """The limits that are checked when a request is decoded."""
        return WireLimits(
            labels=self.labels,
            future_ms=round(self.future_seconds * 1000),
            age_ms=round(self.age_seconds * 1000) if self.age_seconds is not None else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Settings of one store."""

    database_url: str = field(repr=False)
    listen: ListenAddress = DEFAULT_ADDRESS
    web_config: Path | None = None
    tenant_header: str | None = None
    cluster_label: str = "cluster"
    replica_label: str = "__replica__"
    limits: WriteLimits = field(default_factory=WriteLimits)
    spool: Path | None = None
    spool_bytes: int = 1 << 30
    reading: ReadSettings = field(default_factory=ReadSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags and the environment.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """
        retention = RetentionSettings.read(reader)
        return cls(
            database_url=read_database_url(reader),
            limits=_read_limits(reader, retention),
            reading=ReadSettings.read(reader),
            retention=retention,
            **given(
                listen=reader.address("--web.listen-address"),
                web_config=reader.path("--web.config.file"),
                tenant_header=reader.text("--tenant.header"),
                spool=reader.path("--spool.path"),
                spool_bytes=reader.whole("--spool.max-bytes"),
                cluster_label=reader.text("--ha.cluster-label"),
                replica_label=reader.text("--ha.replica-label"),
            ),
        )


def read_database_url(reader: SettingsReader) -> str:
    """Return the URL of the database.

    Raises:
        ConfigError: there is none.
    """
    url = reader.database_url("--database.url", "STORE_DATABASE_URL")
    if url is None:
        raise ConfigError(
            "no database",
            hint="set --database.url postgresql://user@host/database, or STORE_DATABASE_URL_FILE to a file with a URL",
        )
    return url


def _read_limits(reader: SettingsReader, retention: RetentionSettings) -> WriteLimits:
    labels = given(
        labels=reader.whole("--limits.labels"),
        name_bytes=reader.whole("--limits.label-name-bytes"),
        value_bytes=reader.whole("--limits.label-value-bytes"),
    )
    return WriteLimits(
        labels=LabelLimits(**labels),
        **given(
            future_seconds=reader.duration("--limits.future"),
            # older samples would be deleted at once
            age_seconds=reader.duration("--limits.age") or retention.raw_days * 86_400,
            samples_per_second=reader.whole("--limits.samples-per-second"),
            series_per_metric=reader.whole("--limits.series-per-metric"),
            queued_samples=reader.whole("--limits.queued-samples"),
            cached_series=reader.whole("--limits.cached-series"),
        ),
    )


def add_database_argument(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add the flag with the URL of the database."""
    parser.add_argument(
        "--database.url",
        dest="database_url",
        default=default,
        metavar="URL",
        help="postgresql://user@host/database, without a password (default: the URL in the file named by "
        "STORE_DATABASE_URL_FILE)",
    )


def add_write_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of remote write."""
    parser.add_argument(
        "--tenant.header",
        dest="tenant_header",
        metavar="NAME",
        help="request header that names the tenant, such as X-Scope-OrgID; requests without it are refused "
        "(default: one tenant)",
    )
    pairs = parser.add_argument_group(
        "HA pairs", "Of Prometheus servers with the same cluster label, one at a time is kept."
    )
    pairs.add_argument(
        "--ha.cluster-label", dest="ha_cluster_label", metavar="NAME", help="label of the pair (default: cluster)"
    )
    pairs.add_argument(
        "--ha.replica-label",
        dest="ha_replica_label",
        metavar="NAME",
        help="label of one server of the pair; it is not stored (default: __replica__)",
    )
    spool = parser.add_argument_group("spool")
    spool.add_argument(
        "--spool.path",
        dest="spool_path",
        metavar="FOLDER",
        help="accept requests into this folder while the database is down (default: answer with 503, and the sender "
        "keeps them)",
    )
    spool.add_argument(
        "--spool.max-bytes", dest="spool_max_bytes", metavar="NUMBER", help="size of the folder (default: 1073741824)"
    )
    limits = parser.add_argument_group("limits", "Samples beyond a limit are refused with the reason.")
    for flag, help_text in (
        ("samples-per-second", "samples of a tenant; more are answered with 503 (default: no limit)"),
        ("series-per-metric", "series of one metric of a tenant (default: 1000000)"),
        ("queued-samples", "samples that wait to be written; more are answered with 503 (default: 500000)"),
        ("cached-series", "series in memory, about 1 kB each (default: 2000000)"),
        ("labels", "labels of a series (default: 64)"),
        ("label-name-bytes", "length of a label name (default: 512)"),
        ("label-value-bytes", "length of a label value (default: 4096)"),
    ):
        limits.add_argument(
            f"--limits.{flag}", dest=f"limits_{flag.replace('-', '_')}", metavar="NUMBER", help=help_text
        )
    limits.add_argument(
        "--limits.future",
        dest="limits_future",
        metavar="TIME",
        help="time ahead of this machine's clock (default: 10m)",
    )
    limits.add_argument(
        "--limits.age", dest="limits_age", metavar="TIME", help="age (default: METRICS_RETENTION_DAYS, 7 days)"
    )
