"""Drivers of slow cards as findings, for the strategies that fit them."""

from collections.abc import Iterator, Mapping

from jelmon_analyzers.attribution import Attribution
from jelmon_analyzers.suggestions.strategies import Finding

LEAST_LOWER = 0.1
"""The lower end of the share's interval: below it the driver may as well be none."""


def findings(found: Mapping[str, Attribution]) -> Iterator[Finding]:
    """The drivers that surely make up a part of the slow tail."""
    for pipeline, attribution in found.items():
        for driver in attribution.drivers:
            if driver.lower < LEAST_LOWER:
                continue
            stage, cause = _read(driver.name)
            yield Finding(
                kind="driver",
                pipeline=pipeline,
                stage=stage,
                cause=cause,
                about=driver.name,
                figures={"share": driver.share},
            )


def _read(name: str) -> tuple[str, str]:
    """Stage and cause from the name that `attribution.cards` gives: ``deploy wait``, ``unit tests``, ``host cpu``."""
    if name == "retries":
        return "", "retries"
    if name.startswith("host "):
        return "", "host"
    before, _, last = name.rpartition(" ")
    return ("", last) if last == "tests" else (before, last)
