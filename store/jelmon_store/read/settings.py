"""Limits of remote read, from flags."""

import argparse
from dataclasses import dataclass
from typing import Self

from jelmon.config.reader import SettingsReader, given
from jelmon.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """What one request may cost, and how many run at a time."""

    max_series: int = 200_000
    max_samples: int = 10_000_000
    max_bytes: int = 512 << 20  # of an answer before compression
    concurrency: int = 4
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        for flag in ("max_series", "max_samples", "max_bytes", "concurrency", "timeout_seconds"):
            if getattr(self, flag) <= 0:
                name = flag.removesuffix("_seconds").replace("_", "-")
                raise ConfigError(f"--read.{name} must be more than 0")

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Return the settings from flags."""
        return cls(
            **given(
                max_series=reader.whole("--read.max-series"),
                max_samples=reader.whole("--read.max-samples"),
                max_bytes=reader.whole("--read.max-bytes"),
                concurrency=reader.whole("--read.concurrency"),
                timeout_seconds=reader.duration("--read.timeout"),
            )
        )


def add_read_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of remote read."""
    group = parser.add_argument_group("remote read")
    for flag, what, default in (
        ("series", "maximum series of one query", "200000"),
        ("samples", "maximum samples of one request", "10000000"),
        ("bytes", "maximum size of one answer before compression", "536870912"),
    ):
        group.add_argument(
            f"--read.max-{flag}", dest=f"read_max_{flag}", metavar="NUMBER", help=f"{what} (default: {default})"
        )
    group.add_argument(
        "--read.concurrency",
        dest="read_concurrency",
        metavar="NUMBER",
        help="requests answered at a time, each with a connection of its own; others wait (default: 4)",
    )
    group.add_argument(
        "--read.timeout", dest="read_timeout", metavar="TIME", help="longest time for one request (default: 1m)"
    )
