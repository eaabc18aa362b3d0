"""How long samples and rollups are kept, from flags and the environment."""

import argparse
from dataclasses import dataclass
from typing import Self

from jelmon.config.reader import SettingsReader, given
from jelmon.errors import ConfigError
from jelmon_store.read.matchers import METRIC_NAME, Matcher, MatcherKind, QueryError

MAX_DAYS = 32_767
_MIN_DAYS = 1


@dataclass(frozen=True, slots=True)
class RetentionOverride:
    """Raw samples of the metrics whose whole name matches a regex are kept for another number of days."""

    names: Matcher
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """Days to keep raw samples and the rollups of 5 minutes, 1 hour and 1 day; the first override that matches wins."""

    raw_days: float = 7
    days_5m: int = 90
    days_1h: int = 400
    days_1d: int = 1825
    overrides: tuple[RetentionOverride, ...] = ()
    interval_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.raw_days < _MIN_DAYS:
            raise ConfigError(f"METRICS_RETENTION_DAYS must be at least {_MIN_DAYS}")
        if not self.raw_days <= self.days_5m <= self.days_1h <= self.days_1d:
            raise ConfigError(
                "rollups must not be kept for a shorter time than what they are made from",
                hint="METRICS_RETENTION_DAYS <= --retention.days-5m <= --retention.days-1h <= --retention.days-1d",
            )

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Return the settings from flags and the environment.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """
        overrides = reader.many("--retention.override") or reader.words(variable="METRICS_RETENTION_OVERRIDES") or ()
        return cls(
            overrides=tuple(parse_override(text) for text in overrides),
            **given(
                raw_days=reader.number(variable="METRICS_RETENTION_DAYS"),
                days_5m=reader.whole("--retention.days-5m"),
                days_1h=reader.whole("--retention.days-1h"),
                days_1d=reader.whole("--retention.days-1d"),
            ),
        )


def parse_override(text: str) -> RetentionOverride:
    """Return an override written as ``REGEX=DAYS``.

    Raises:
        ConfigError: it is something else.
    """
    pattern, equals, days = text.rpartition("=")
    try:
        if not equals or not 1 <= int(days) <= MAX_DAYS:
            raise ValueError(text)
        return RetentionOverride(Matcher(MatcherKind.REGEX, METRIC_NAME, pattern), int(days))
    except ValueError as error:
        raise ConfigError(
            f"--retention.override: {text!r} is not a regex and a number of days",
            hint="write 'jelmore_cards_.*=400', for example",
        ) from error
    except QueryError as error:
        raise ConfigError(f"--retention.override: {text!r}: {error.message}", hint=error.hint) from error


def add_retention_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of retention."""
    group = parser.add_argument_group(
        "retention", "METRICS_RETENTION_DAYS is the time to keep raw samples (default: 7)."
    )
    group.add_argument(
        "--retention.override",
        dest="retention_override",
        metavar="REGEX=DAYS",
        action="append",
        help="another time to keep the raw samples of the metrics whose whole name matches; repeat for several, the "
        "first that matches wins (default: METRICS_RETENTION_OVERRIDES, separated by commas)",
    )
    for flag, default in (("5m", 90), ("1h", 400), ("1d", 1825)):
        group.add_argument(
            f"--retention.days-{flag}",
            dest=f"retention_days_{flag}",
            metavar="NUMBER",
            help=f"days to keep rollups of {flag} (default: {default})",
        )
