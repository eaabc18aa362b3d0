"""PromQL functions that not every supported Prometheus has, or only behind a feature flag."""

from typing import NamedTuple

from jelmon_generators.targets import Target, Version, written


class Lifetime(NamedTuple):
    """The versions that have a function, and the first that needs no feature flag for it (None: every version does)."""

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


def why_not(function: str, target: Target) -> str | None:
    """Return why the target cannot evaluate the function; None when it can."""
    lifetime = FUNCTIONS.get(function)
    if lifetime is None:
        return None
    if target.prometheus < lifetime.since:
        return f"{function}() needs Prometheus {written(lifetime.since)}"
    if lifetime.until is not None and target.prometheus >= lifetime.until:
        return f"{function}() was removed in Prometheus {written(lifetime.until)}"
    if lifetime.flag and (lifetime.without_flag is None or target.prometheus < lifetime.without_flag):
        return f"{function}() needs the feature flag {lifetime.flag}"
    return None
