"""Several conditions of which all, any, or a number hold for the same labels."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from jelmon_generators.checks import COMMON_LABEL, CONDITION
from jelmon_generators.model.conditions.base import Condition, Directions, Forced, SignalCondition, Values
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, Expression, on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combination(Condition):
    """Conditions that are matched by the labels they have in common."""

    parts: tuple[Condition, ...]

    keyword: ClassVar[str]
    """The field that lists the parts."""

    def read_more(self) -> "Combination":
        """Return the combination with whatever else its fields say."""
        return self

    @abstractmethod
    def decide(self, outcomes: Iterator[bool]) -> bool:
        """Return whether the combination holds, from whether each part does."""

    @property
    def leaves(self) -> tuple[SignalCondition, ...]:
        return tuple(leaf for part in self.parts for leaf in part.leaves)

    def holds(self, values: Values, directions: Directions, forced: Forced | None = None) -> bool:
        return self.decide(part.holds(values, directions, forced) for part in self.parts)

    def labels(self, known: Known) -> frozenset[str]:
        return frozenset.intersection(*(part.labels(known) for part in self.parts))

    def with_leaf(self, old: SignalCondition, new: SignalCondition) -> Condition:
        return replace(self, parts=tuple(part.with_leaf(old, new) for part in self.parts))

    def check_matching(self, known: Known) -> None:
        for part in self.parts:
            part.check_matching(known)
        labels = [part.labels(known) for part in self.parts]
        if all(labels) and not frozenset.intersection(*labels) - NOT_FOR_MATCHING:
            COMMON_LABEL.report(
                self.fields.at(self.keyword),
                f"the conditions of {self.keyword!r} have no label in common",
                hint="; ".join(
                    f"{', '.join(sorted(names)) or 'none'} ({part.leaves[0].signal})"
                    for part, names in zip(self.parts, labels, strict=True)
                ),
            )

    def _compiled(self, known: Known) -> tuple[list[Expression], frozenset[str]]:
        """Return the parts, and the labels that all of them have."""
        parts = [part.promql(known) for part in self.parts]
        return parts, frozenset.intersection(*(part.labels for part in parts))

    def _joined(self, word: str, parts: list[Expression], labels: frozenset[str]) -> str:
        text = f"\n{word} {on(labels - NOT_FOR_MATCHING)}\n  ".join(indented(part.text) for part in parts)
        return f"(\n  {text}\n)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AllOf(Combination):
    """All of the conditions hold."""

    keyword: ClassVar[str] = "all"

    def decide(self, outcomes: Iterator[bool]) -> bool:
        return all(outcomes)

    def promql(self, known: Known) -> Expression:
        parts, labels = self._compiled(known)
        return Expression(self._joined("and", parts, labels), parts[0].labels)

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return " and ".join(part.describe(signals) for part in self.parts)

    def always_same_labels(self, known: Known) -> bool:
        return self.parts[0].always_same_labels(known)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyOf(Combination):
    """At least one of the conditions holds."""

    keyword: ClassVar[str] = "any"

    def decide(self, outcomes: Iterator[bool]) -> bool:
        return any(outcomes)

    def promql(self, known: Known) -> Expression:
        parts, labels = self._compiled(known)
        return Expression(self._joined("or", parts, labels), labels)

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return " or ".join(part.describe(signals) for part in self.parts)

    def always_same_labels(self, known: Known) -> bool:
        return len({known.labels[leaf.signal] for leaf in self.leaves}) == 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AtLeast(Combination):
    """At least ``least`` of the conditions hold."""

    keyword: ClassVar[str] = "n_of_m"

    least: int = 1

    def read_more(self) -> "AtLeast":
        least = int(self.fields.number("n"))
        if not 1 <= least <= len(self.parts):
            CONDITION.report(
                self.fields.at("n"), f"n must be between 1 and {len(self.parts)}, the number of conditions"
            )
        return replace(self, least=least)

    def decide(self, outcomes: Iterator[bool]) -> bool:
        return sum(outcomes) >= self.least

    def promql(self, known: Known) -> Expression:
        parts, labels = self._compiled(known)
        names = ", ".join(sorted(labels - NOT_FOR_MATCHING))
        members = "\n  or\n".join(
            f'  label_replace(group by ({names}) ({part.text}), "condition", "{number}", "", "")'
            for number, part in enumerate(parts, 1)
        )
        return Expression(f"(count by ({names}) (\n{members}\n) >= {self.least})", labels - NOT_FOR_MATCHING)

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return f"at least {self.least} of: " + ", ".join(part.describe(signals) for part in self.parts)

    def always_same_labels(self, known: Known) -> bool:
        return True


def indented(text: str) -> str:
    """Return PromQL with every line but the first indented."""
    return text.replace("\n", "\n  ")
