"""The versions of Prometheus and Alertmanager that files are rendered for, and what each of them knows."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from jelmon.errors import ConfigError

Version = tuple[int, int]
OLDEST_PROMETHEUS: Version = (2, 42)  # keep_firing_for
OLDEST_ALERTMANAGER: Version = (0, 25)  # location of time intervals

_PART = re.compile(r"(prometheus|alertmanager)=(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Target:
    """What the rendered files must be understood by."""

    prometheus: Version = OLDEST_PROMETHEUS
    alertmanager: Version = OLDEST_ALERTMANAGER

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``prometheus=2.42,alertmanager=0.25``; what is not named is the oldest that is supported.

        Raises:
            ConfigError: not of this form, or too old.
        """
        found: dict[str, Version] = {}
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None:
                raise ConfigError(
                    f"target: {part.strip()!r} is not a version", hint="write prometheus=2.42,alertmanager=0.25"
                )
            found[match.group(1)] = (int(match.group(2)), int(match.group(3)))
        target = cls(**found)
        for name, have, oldest in (
            ("Prometheus", target.prometheus, OLDEST_PROMETHEUS),
            ("Alertmanager", target.alertmanager, OLDEST_ALERTMANAGER),
        ):
            if have < oldest:
                raise ConfigError(f"target: {name} {written(have)} is too old", hint=f"{written(oldest)} or newer")
        return target


OLDEST = Target()


class Lifetime(NamedTuple):
    """When a function came and went, and since when it needs no feature flag (None: it always does)."""

    since: Version = (2, 0)
    until: Version | None = None
    flag: str = ""
    without_flag: Version | None = None


_EXPERIMENTAL = "promql-experimental-functions"
FUNCTIONS: dict[str, Lifetime] = {
    "holt_winters": Lifetime(until=(3, 0)),
    "histogram_stddev": Lifetime(since=(2, 47)),
    "histogram_stdvar": Lifetime(since=(2, 47)),
    "mad_over_time": Lifetime((2, 49), flag=_EXPERIMENTAL),
    "sort_by_label": Lifetime((2, 49), flag=_EXPERIMENTAL),
    "sort_by_label_desc": Lifetime((2, 49), flag=_EXPERIMENTAL),
    "histogram_avg": Lifetime(since=(2, 51)),
    "limitk": Lifetime((2, 54), flag=_EXPERIMENTAL),
    "limit_ratio": Lifetime((2, 54), flag=_EXPERIMENTAL),
    "info": Lifetime((2, 55), flag=_EXPERIMENTAL),
    "double_exponential_smoothing": Lifetime((3, 0), flag=_EXPERIMENTAL),
    "ts_of_max_over_time": Lifetime((3, 5), flag=_EXPERIMENTAL),
    "ts_of_min_over_time": Lifetime((3, 5), flag=_EXPERIMENTAL),
    "ts_of_last_over_time": Lifetime((3, 5), flag=_EXPERIMENTAL),
    "first_over_time": Lifetime((3, 7), flag=_EXPERIMENTAL, without_flag=(3, 14)),
    "ts_of_first_over_time": Lifetime((3, 7), flag=_EXPERIMENTAL),
    "histogram_quantiles": Lifetime((3, 11), flag=_EXPERIMENTAL),
    **dict.fromkeys(("start", "end", "range", "step"), Lifetime((3, 12), flag=_EXPERIMENTAL)),
    **dict.fromkeys(("min_of", "max_of"), Lifetime((3, 13), flag=_EXPERIMENTAL)),
    "start_timestamp": Lifetime((3, 14), flag="use-start-timestamps"),
}
"""Functions that not every supported Prometheus has, or not without a feature flag."""


def written(version: Version) -> str:
    """``2.42``."""
    return f"{version[0]}.{version[1]}"


def why_not(function: str, target: Target) -> str | None:
    """Why the target cannot evaluate the function; None when it can."""
    lifetime = FUNCTIONS.get(function)
    if lifetime is None:
        return None
    if target.prometheus < lifetime.since:
        return f"{function}() needs Prometheus {written(lifetime.since)}"
    if lifetime.until is not None and target.prometheus >= lifetime.until:
        return f"{function}() is gone since Prometheus {written(lifetime.until)}"
    if lifetime.flag and (lifetime.without_flag is None or target.prometheus < lifetime.without_flag):
        return f"{function}() needs the feature flag {lifetime.flag}"
    return None
