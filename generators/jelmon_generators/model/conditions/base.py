"""What a kind of condition implements: PromQL, truth for given values, words, checks, input for generated tests."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar, NamedTuple, Self

from jelmon.config.strict_yaml import Fields, Place, did_you_mean
from jelmon_generators.checks import DURATION, RANGE, REFERENCE
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Direction, Signal
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.promql.expressions import Expression, number
from jelmon_generators.promql.series import Series

Key = tuple[str, str]
"""What a generated test feeds: ``("signal", name)``, or another kind of input about that signal."""
Values = Mapping[Key, float | None]
"""A value for each key; None: the series does not exist."""
Directions = Mapping[str, Direction]
Labels = Mapping[str, str]


class Timing(NamedTuple):
    """What the generated tests of a condition need to know of its alert."""

    rule_id: str
    duration_seconds: float
    keep_firing_seconds: float
    interval_seconds: float


class Variant(NamedTuple):
    """The same condition with another threshold, which applies to series with certain labels."""

    condition: "SignalCondition"
    threshold: float
    labels: Labels  # what the series must have; empty: those for which ``metric`` has a value
    metric: str | None = None  # gives the threshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Condition(ABC):
    """A condition: about one signal, or a combination of others."""

    fields: Fields

    @property
    @abstractmethod
    def leaves(self) -> tuple["SignalCondition", ...]:
        """The conditions about one signal that it consists of, in the order written."""

    @property
    def worst(self) -> str:
        """The aggregation that keeps the worst of several values for which the condition holds."""
        return "max"

    @abstractmethod
    def promql(self, known: Known) -> Expression:
        """Return an expression that yields a series exactly while the condition holds."""

    @property
    @abstractmethod
    def shape(self) -> tuple[object, ...]:
        """How it follows from its `leaves`: equal for two conditions that follow from theirs in the same way."""

    @abstractmethod
    def follows(self, outcomes: Iterator[bool]) -> bool:
        """Return whether the condition holds, from whether each of its `leaves` does, in their order."""

    def holds(self, values: Values, directions: Directions) -> bool:
        """Return whether the condition holds for these values."""
        return self.follows(leaf.is_met(values, directions) for leaf in self.leaves)

    @abstractmethod
    def lasts(self, values: Values, directions: Directions, known: Known) -> float:
        """Return for how many seconds the condition holds after the last of these values; less than 0: not at all."""

    @abstractmethod
    def describe(self, signals: Mapping[str, Signal]) -> str:
        """Return the condition in words."""

    @abstractmethod
    def labels(self, known: Known) -> frozenset[str]:
        """Return the labels of the result; empty when it matches anything."""

    @abstractmethod
    def with_leaf(self, old: "SignalCondition", new: "SignalCondition") -> "Condition":
        """Return the condition with one of its leaves replaced."""

    @abstractmethod
    def check_matching(self, known: Known) -> None:
        """Report parts that can never match each other."""

    @abstractmethod
    def always_same_labels(self, known: Known) -> bool:
        """Return whether the result has the same labels, whichever part holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignalCondition(Condition):
    """A condition about one signal. Kinds override what differs from "compares the recorded value"."""

    signal: str

    keeps_labels: ClassVar[bool] = True
    """Whether the result has the labels of the signal."""
    judges_single_samples: ClassVar[bool] = True
    """Whether one odd sample is enough for the condition to hold."""
    fallback: ClassVar[str] = ""
    """What `fallback_inputs` stand for, as the name of a test case; empty: the condition has only one input."""
    needs_history: ClassVar[bool] = False
    """Whether the condition reads `recordings` of its own."""

    @classmethod
    @abstractmethod
    def read(cls, fields: Fields, operator: str) -> Self:
        """Read the condition from the fields of a definition; ``operator`` is the one written there."""

    @abstractmethod
    def is_met(self, values: Values, directions: Directions) -> bool:
        """Return whether the condition holds for these values."""

    @abstractmethod
    def edges(self, directions: Directions) -> list[float | None]:
        """Return values that tell the condition from every near miss."""

    @property
    def key(self) -> Key:
        """What a generated test feeds to make the condition hold."""
        return ("signal", self.signal)

    @property
    def leaves(self) -> tuple["SignalCondition", ...]:
        return (self,)

    @property
    def panel_threshold(self) -> float | None:
        """The threshold that dashboards draw."""
        return None

    def labels(self, known: Known) -> frozenset[str]:
        return known.labels[self.signal] if self.keeps_labels else frozenset()

    @property
    def shape(self) -> tuple[object, ...]:
        return ()

    def follows(self, outcomes: Iterator[bool]) -> bool:
        return next(outcomes)

    def lasts(self, values: Values, directions: Directions, known: Known) -> float:
        return 0.0 if self.holds(values, directions) else -inf

    def with_leaf(self, old: "SignalCondition", new: "SignalCondition") -> Condition:
        return new if self is old else self

    def always_same_labels(self, known: Known) -> bool:
        return True

    # --- checks ---

    def check_matching(self, known: Known) -> None:
        """Do nothing: a single signal always matches itself."""

    def check_names(self, signals: Mapping[str, Signal], series: Mapping[str, Series]) -> None:
        """Report names that do not exist and thresholds outside the signal's range."""
        signal = signals.get(self.signal)
        if signal is not None:
            for value, place in self.thresholds():
                check_range(value, signal, place)
        elif signals:  # without any, their file is at fault and is reported itself
            REFERENCE.report(
                self.fields.at("metric_path"),
                f"unknown signal {self.signal!r}",
                hint=did_you_mean(self.signal, signals, otherwise="signals are declared in rules/signals.yaml"),
            )

    def thresholds(self) -> list[tuple[float, Place]]:
        """Every value that the signal is compared with."""
        return []

    def check_values(self, known: Known, duration_place: Place, duration_seconds: float) -> None:
        """Report what makes no sense for this signal, its labels, or how long the condition has to hold."""

    # --- rules ---

    def recordings(self, known: Known, alerts: Mapping[str, frozenset[str]]) -> list[tuple[str, str]]:
        """Return further recordings that the condition reads, as (name, expression), in the order to evaluate.

        ``alerts``: the labels by which each alert of the group that reads them is matched with the signal, by name.
        """
        return []

    # --- input for generated tests ---

    def inputs(self, value: float, labels: Labels, known: Known, fed: Collection[Key]) -> list[tuple[str, float]]:
        """Return series and values that give the signal this value; ``fed``: every key that the test feeds."""
        return [(selector(known.records[self.signal], labels), value)]

    def constant_inputs(self, interval_seconds: float) -> list[tuple[str, str]]:
        """Return series with values that every test of the condition needs."""
        return []

    def fallback_inputs(self, value: float, labels: Labels, known: Known) -> list[tuple[str, float]]:
        """Return input for when what the condition normally reads is missing; empty: there is no such case."""
        return []

    def variants(self) -> list[Variant]:
        """Return the condition with each of its other thresholds."""
        return []

    def test_cases(self, timing: Timing, known: Known) -> list[Case]:
        """Return further test cases for an alert that consists of this condition alone."""
        return []


def check_range(value: float, signal: Signal, place: Place) -> None:
    """Report a threshold that the signal can never reach."""
    if (signal.low is not None and value < signal.low) or (signal.high is not None and value > signal.high):
        low = "-inf" if signal.low is None else f"{signal.low:g}"
        high = "inf" if signal.high is None else f"{signal.high:g}"
        RANGE.report(
            place,
            f"threshold {value:g} is outside the signal's range",
            hint=f"{signal.name} ranges from {low} to {high} ({signal.unit})",
        )


def check_start(place: Place, duration_seconds: float, known: Known, what: str) -> None:
    """Require that an alert outlasts the moment at which only one of two jobs has been scraped."""
    least = 2 * known.settings.scrape_interval_seconds
    if duration_seconds < least:
        DURATION.report(
            place,
            f"{what} scraped from another job than the condition, and may be missing when Prometheus starts",
            hint=f"write duration_minutes: {number(max(1.0, least / 60))} or more",
        )


def around(value: float) -> list[float | None]:
    """Return a value, and one close to it on either side."""
    step = abs(value) / 1000 or 0.001
    return [float(number(value - step)), value, float(number(value + step))]
