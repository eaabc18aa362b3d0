"""The health of a pipeline as one number that explains itself. Pure: parts in, score and points lost out.

    H = min(cap, 100 - sum(weight * 100 * (1 - part)) / sum(weight))

over the parts that have data. The cap of 40 holds while latency, success or freshness is 0: a mean must not hide that
nothing moves. Below half of the weight there is no score.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jelmon.errors import ConfigError

CAP = 40.0
LEAST_COVERAGE = 0.5
FAST_BURN = 14.4
"""The error budget of 30 days is spent in two days at this rate (Google SRE workbook): nothing is left to score."""


class Part(StrEnum):
    """What health is made of."""

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
    """A score with its reasons. ``score`` is None when too few parts have data."""

    score: float | None
    coverage: float
    points_lost: Mapping[Part, float]
    parts: Mapping[Part, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """Weights and targets. What a pipeline declares about itself comes before the targets here."""

    weights: Mapping[Part, float] = field(default_factory=lambda: dict(WEIGHTS))
    objective: float = 0.99
    """Share of cards that should succeed."""
    card_target_seconds: float | None = None
    stall_limit_seconds: float = 600.0
    resource_limit: float = 0.8
    window_seconds: float = 1800.0

    def __post_init__(self) -> None:
        if any(not weight >= 0 for weight in self.weights.values()) or not sum(self.weights.values()) > 0:
            raise ConfigError("health weights: each must be 0 or more, and one of them more than 0")
        if not 0 < self.objective < 1:
            raise ConfigError(f"health objective: {self.objective:g} is not a share", hint="for example 0.99")
        if not 0 < self.resource_limit < 1:
            raise ConfigError(f"health resource_limit: {self.resource_limit:g} is not a share", hint="for example 0.8")
        if not (self.stall_limit_seconds > 0 and self.window_seconds > 0):
            raise ConfigError("health: stall_limit and window must be more than 0")


def score(parts: Mapping[Part, float], weights: Mapping[Part, float] = WEIGHTS) -> Health:
    """Put the parts together; each is 0 (worst) to 1, and absent without data."""
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
    """Apdex: satisfied within the target, tolerating within four times the target, all others frustrated."""
    return (satisfied + tolerating / 2) / total if total > 0 else None


def success(*, failed: float, total: float, objective: float, least: float = 10) -> float | None:
    """1 while the error budget lasts (burn rate up to 1), then down with the logarithm of the rate, 0 at 14.4.

    A few cards say nothing, unless none of them failed.
    """
    if failed <= 0:
        return 1.0
    if total < least:
        return None
    burn = failed / total / (1 - objective)
    return min(1.0, max(0.0, 1 - math.log(burn) / math.log(FAST_BURN))) if burn > 0 else 1.0


def flow(*, arrived: float, finished: float) -> float | None:
    """Share of the arrivals that the completions keep up with."""
    return min(1.0, finished / arrived) if arrived > 0 else None


def constraint(severity: float) -> float:
    """1 up to a severity of 50, where a warning begins; 0 at 100."""
    return 1 - max(0.0, severity - 50) / 50


def freshness(*, silent_seconds: float, limit_seconds: float) -> float:
    """1 up to half of the stall limit, 0 from the limit on."""
    return min(1.0, max(0.0, 2 - 2 * silent_seconds / limit_seconds))


def resources(usage: float, *, limit: float = 0.8) -> float:
    """1 up to the limit, 0 when all is in use."""
    return min(1.0, max(0.0, 1 - (usage - limit) / (1 - limit)))
