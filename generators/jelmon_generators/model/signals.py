"""A signal: a named PromQL expression that alerts and objectives refer to."""

from dataclasses import dataclass
from enum import StrEnum

from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.promql.expressions import duration, number


class Direction(StrEnum):
    """Which way is worse."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """Input series and the value that the signal then has; becomes a unit test."""

    series: tuple[tuple[str, str], ...]
    at_seconds: float
    value: float | None  # None: the signal has no series
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signal:
    """A named PromQL expression over catalogue metrics."""

    name: str
    description: str
    unit: str
    direction: Direction
    expr: str
    low: float | None = None  # the range of the signal's values; a threshold outside it is never reached
    high: float | None = None
    job: str | None = None  # set where the expression itself cannot keep the label
    examples: tuple[Example, ...] = ()
    group: str = ""  # the rule group to share with others, in the order written; empty: a group for this signal alone
    source: str = "rules/signals.yaml"
    written: str = ""  # the field that the expression was made from, when it is not the expression itself
    judged: str = ""  # the part of the expression that a person wrote, when the rest is generated; empty: all of it
    reads: tuple[frozenset[str], tuple[str, ...]] | None = None  # of a generated signal: its labels, and its metrics
    fields: Fields

    @property
    def place(self) -> Place:
        """Where a problem of the expression is shown."""
        for name in (self.written, "expr", "value"):
            if name and self.fields.has(name):
                return self.fields.at(name)
        return self.fields.place

    @property
    def record(self) -> str:
        """The name under which the signal is recorded."""
        return f"jelmore:{self.name}"

    def amount(self, value: float) -> str:
        """Return a value of the signal with its unit, for people."""
        match self.unit:
            case "ratio":
                return f"{number(value * 100)} %"
            case "seconds" if value >= 60 and value == int(value):
                return duration(value)
            case "boolean":
                return number(value)
            case "score":
                return f"{number(value)} of 100"
        return f"{number(value)} {self.unit}"
