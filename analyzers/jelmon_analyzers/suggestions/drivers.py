"""Drivers of slow cards as findings."""

from collections.abc import Iterator, Mapping

from jelmon_analyzers.attribution import Attribution
from jelmon_analyzers.suggestions.strategies import Finding

LEAST_LOWER = 0.1
"""Least lower end of the share's interval; below it the driver may have no effect."""


def findings(attributions: Mapping[str, Attribution]) -> Iterator[Finding]:
    """Yield the drivers that certainly explain a part of the slow tail, from the attribution of each pipeline."""
    for pipeline, attribution in attributions.items():
        for driver in attribution.drivers:
            if driver.lower < LEAST_LOWER:
                continue
            stage, cause = _parse(driver.name)
            yield Finding(
                kind="driver",
                pipeline=pipeline,
                stage=stage,
                cause=cause,
                about=driver.name,
                figures={"share": driver.share},
            )


def _parse(name: str) -> tuple[str, str]:
    """Return stage and cause of a name given by `attribution.cards`: ``deploy wait``, ``unit tests``, ``host cpu``."""
    if name == "retries":
        return "", "retries"
    if name.startswith("host "):
        return "", "host"
    before, _, last = name.rpartition(" ")
    return ("", last) if last == "tests" else (before, last)
