"""A case of a promtool unit test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jelmon_generators.promql.expressions import string


@dataclass(slots=True)
class Case:
    """One ``tests:`` entry."""

    name: str
    series: list[tuple[str, str]] = field(default_factory=list)
    checks: list[tuple[str, float, list[str]]] = field(default_factory=list)  # expression, seconds, samples
    value: float = 1.0  # of every sample
    sample_seconds: float | None = None  # between the samples of its series; None: as between evaluations


def selector(name: str, labels: Mapping[str, str]) -> str:
    """``name{label="value"}`` with the labels in order."""
    inner = ",".join(f"{label}={string(value)}" for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}"
