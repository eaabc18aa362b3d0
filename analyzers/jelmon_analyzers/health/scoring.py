"""The health score of a pipeline and the points that each part costs. Pure.

    H = min(cap, 100 - sum(weight * 100 * (1 - part)) / sum(weight))

over the parts that have data. The cap is 40 while latency, success or freshness is 0, because a mean would hide that
nothing moves. If less than half of the weight has data, there is no score.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jelmon.errors import ConfigError

CAP = 40.0
LEAST_COVERAGE = 0.5
FAST_BURN = 14.4
"""Burn rate that spends the error budget of 30 days in two days (Google SRE workbook, chapter 5)."""


class Part(StrEnum):
    """The parts of health."""

    LATENCY = "latency"
    SUCCESS = "success"
    FLOW = "flow"
    CONSTRAINT = "constraint"
    FRESHNESS = "freshness"
    RESOURCES = "resources"


WEIGHTS: Mapping[Part, float] = {
    Part.LATENCY: 30,
    Part.SUCCESS: 25,
    Part.FLOW: 15,
    Part.CONSTRAINT: 15,
    Part.FRESHNESS: 10,
    Part.RESOURCES: 5,
}
VITAL = frozenset({Part.LATENCY, Part.SUCCESS, Part.FRESHNESS})


@dataclass(frozen=True, slots=True)
class Health:
    """A score with its explanation. ``score`` is None if too few parts have data."""

    score: float | None
    coverage: float
    points_lost: Mapping[Part, float]
    parts: Mapping[Part, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """Weights and targets. Targets that a pipeline declares take precedence."""

    weights: Mapping[Part, float] = field(default_factory=lambda: dict(WEIGHTS))
    objective: float = 0.99
    """Share of cards that should succeed."""
    card_target_seconds: float | None = None
    stall_limit_seconds: float = 600.0
    resource_limit: float = 0.8
    window_seconds: float = 1800.0

    def __post_init__(self) -> None:
        if any(not weight >= 0 for weight in self.weights.values()) or not sum(self.weights.values()) > 0:
            raise ConfigError("health weights: all must be 0 or more, and at least one more than 0")
        if not 0 < self.objective < 1:
            raise ConfigError(f"health objective: {self.objective:g} is not between 0 and 1", hint="for example 0.99")
        if not 0 < self.resource_limit < 1:
            raise ConfigError(
                f"health resource_limit: {self.resource_limit:g} is not between 0 and 1", hint="for example 0.8"
            )
        if not (self.stall_limit_seconds > 0 and self.window_seconds > 0):
            raise ConfigError("health: stall_limit and window must be more than 0")


def score(parts: Mapping[Part, float], weights: Mapping[Part, float] = WEIGHTS) -> Health:
    """Return the score of the parts, each 0 (worst) to 1 and absent without data."""
    known = {part: min(1.0, max(0.0, value)) for part, value in parts.items() if weights.get(part, 0) > 0}
    total = sum(weights[part] for part in known)
    coverage = total / sum(weights.values())
    lost = {part: weights[part] * 100.0 * (1.0 - value) / total for part, value in known.items()}
    if coverage < LEAST_COVERAGE:
        return Health(None, coverage, lost, known)
    cap = CAP if any(value == 0 for part, value in known.items() if part in VITAL) else 100.0
    return Health(min(cap, max(0.0, 100.0 - sum(lost.values()))), coverage, lost, known)


# --- the parts ---


def apdex(*, satisfied: float, tolerating: float, total: float) -> float | None:
    """Return Apdex: satisfied within the target, tolerating within four times the target, all others frustrated."""
    return (satisfied + tolerating / 2) / total if total > 0 else None


def success(*, failed: float, total: float, objective: float, least: float = 10) -> float | None:
    """Return 1 up to a burn rate of 1, then less with the logarithm of the rate, 0 at 14.4.

    None if a card failed and there are fewer than ``least`` cards.
    """
    if failed <= 0:
        return 1.0
    if total < least:
        return None
    burn = failed / total / (1 - objective)
    return min(1.0, max(0.0, 1 - math.log(burn) / math.log(FAST_BURN))) if burn > 0 else 1.0


def flow(*, arrived: float, finished: float) -> float | None:
    """Return completions / arrivals, at most 1; None without arrivals."""
    return min(1.0, finished / arrived) if arrived > 0 else None


def constraint(severity: float) -> float:
    """Return 1 up to a severity of 50, where a warning begins, and 0 at 100."""
    return 1 - max(0.0, severity - 50) / 50


def freshness(*, silent_seconds: float, limit_seconds: float) -> float:
    """Return 1 up to half of the stall limit, and 0 from the limit on."""
    return min(1.0, max(0.0, 2 - 2 * silent_seconds / limit_seconds))


def resources(usage: float, *, limit: float = 0.8) -> float:
    """Return 1 up to the limit, and 0 when everything is in use."""
    return min(1.0, max(0.0, 1 - (usage - limit) / (1 - limit)))
