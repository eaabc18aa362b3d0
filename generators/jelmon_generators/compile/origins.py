"""Where ``job`` and ``instance`` of recorded signals come from: whether two signals can be matched by them."""

import re
from collections.abc import Mapping

from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.known import REPLICAS
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.series import Series

_BY_PROMETHEUS = frozenset({"up", "scrape_duration_seconds", "scrape_samples_scraped"})
_JOB = re.compile(r'\bjob="([^"\\]+)"')

Sources = Mapping[str, str | None]
"""Label -> what it identifies; None: unknown."""


def of(bundle: Bundle, analyses: Mapping[str, Analysis]) -> dict[str, Sources]:
    """Return the sources of every signal."""
    found: dict[str, Sources] = {}
    for name, signal in bundle.signals.items():
        job = _job(signal, analyses[name], found, bundle.series)
        instance = job if "instance" in (analyses[name].labels or ()) else REPLICAS
        found[name] = {"job": job, "instance": instance}
    return found


def _job(signal: Signal, analysis: Analysis, known: Mapping[str, Sources], series: Mapping[str, Series]) -> str | None:
    if signal.job:
        return signal.job
    if _BY_PROMETHEUS.issuperset(analysis.names):
        jobs: set[str] = set(_JOB.findall(signal.expr))
        if len(jobs) == 1:
            return jobs.pop()
    names = {name.removeprefix("jelmore:") for name in analysis.names if name not in _BY_PROMETHEUS}
    exposed = {
        _exposed_by(name, known, series) for name in names if ":" not in name
    }  # those are no signals: they only exclude
    return exposed.pop() if len(exposed) == 1 else None


def _exposed_by(name: str, known: Mapping[str, Sources], series: Mapping[str, Series]) -> str | None:
    """Return the service that exposes a metric, or the metrics of a signal that an objective is about."""
    if name in known and name not in series:
        return known[name]["job"]
    return series[name].job if name in series else None
