"""Several conditions of which all, any, or a number hold for the same labels.

Parts are matched by the labels that carry meaning for both of them. A part without labels, such as an absence, matches
everything.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import ClassVar

from jelmon_generators.checks import COMMON_LABEL, CONDITION
from jelmon_generators.model.conditions.base import Condition, Directions, SignalCondition, Values
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, Expression, on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combination(Condition):
    """Conditions that are matched by the labels they have in common."""

    parts: tuple[Condition, ...]
    leaves: tuple[SignalCondition, ...] = field(init=False)

    keyword: ClassVar[str]
    """The field that lists the parts."""

    def __post_init__(self) -> None:
        """Collect the leaves once: they are asked for very often."""
        object.__setattr__(self, "leaves", tuple(leaf for part in self.parts for leaf in part.leaves))

    def read_more(self) -> "Combination":
        """Return the combination with whatever else its fields say."""
        return self

    @abstractmethod
    def decide(self, outcomes: Sequence[bool]) -> bool:
        """Return whether the combination holds, from whether each part does."""

    @abstractmethod
    def longest(self, seconds: list[float]) -> float:
        """Return how long the combination holds, from how long each part does."""

    @property
    def worst(self) -> str:
        return self.parts[0].worst

    @property
    def shape(self) -> tuple[object, ...]:
        return (self.keyword, *(part.shape for part in self.parts))

    def follows(self, outcomes: Iterator[bool]) -> bool:
        return self.decide([part.follows(outcomes) for part in self.parts])

    def lasts(self, values: Values, directions: Directions, known: Known) -> float:
        return self.longest([part.lasts(values, directions, known) for part in self.parts])

    def with_leaf(self, old: SignalCondition, new: SignalCondition) -> Condition:
        return replace(self, parts=tuple(part.with_leaf(old, new) for part in self.parts))

    def check_matching(self, known: Known) -> None:
        for part in self.parts:
            part.check_matching(known)
        labelled = [part for part in self.parts if part.labels(known)]
        meaningful = [part.labels(known) - NOT_FOR_MATCHING for part in labelled]
        unlike = all(meaningful) and not frozenset.intersection(*meaningful) if meaningful else False
        if len(labelled) > 1 and (unlike or not matched(known, *labelled)):
            COMMON_LABEL.report(
                self.fields.at(self.keyword),
                f"the conditions of {self.keyword!r} have no label in common",
                hint="; ".join(
                    f"{', '.join(sorted(part.labels(known)))} ({part.leaves[0].signal})" for part in labelled
                ),
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AllOf(Combination):
    """All of the conditions hold. The alert has the labels and the value of the first."""

    keyword: ClassVar[str] = "all"

    def decide(self, outcomes: Sequence[bool]) -> bool:
        return all(outcomes)

    def longest(self, seconds: list[float]) -> float:
        return min(seconds)

    def labels(self, known: Known) -> frozenset[str]:
        return self.parts[0].labels(known)

    def promql(self, known: Known) -> Expression:
        first, *rest = self.parts
        # the most labels first: two parts about stages must be about the same stage, also when another is not
        rest.sort(key=lambda part: -len(matched(known, part)))
        keys = {part: matched(known, first, part) for part in rest}
        if all(matched(known, *pair) <= keys[pair[0]] for pair in combinations(rest, 2)):
            text = indented(first.promql(known).text)
            for part in rest:
                text += f"\nand {on(keys[part])}\n  {indented(part.promql(known).text)}"
            text = f"(\n  {text}\n)"
        else:
            text = self._nested([first, *rest], known)
        return Expression(text, self.labels(known))

    def _nested(self, parts: Sequence[Condition], known: Known) -> str:
        """Return the parts joined from the last to the first: the others share labels that the first has not."""
        first, *rest = parts
        text = first.promql(known).text
        if not rest:
            return text
        key = on(matched(known, first, rest[0]))
        return f"(\n  {indented(text)}\nand {key}\n  {indented(self._nested(rest, known))}\n)"

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return " and ".join(part.describe(signals) for part in self.parts)

    def always_same_labels(self, known: Known) -> bool:
        return self.parts[0].always_same_labels(known)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyOf(Combination):
    """At least one of the conditions holds. The alert has the labels that all of them have, whichever it is."""

    keyword: ClassVar[str] = "any"

    def decide(self, outcomes: Sequence[bool]) -> bool:
        return any(outcomes)

    def longest(self, seconds: list[float]) -> float:
        return max(seconds)

    def labels(self, known: Known) -> frozenset[str]:
        first = self.parts[0].labels(known)
        return first if self._alike(known) else matched(known, *self.parts)

    def _alike(self, known: Known) -> bool:
        """Return whether the parts have equal labels with values from the same source."""
        first = self.parts[0].labels(known)
        constant = frozenset({"instance"})
        return all(part.labels(known) == first for part in self.parts) and (
            first - matched(known, *self.parts) <= constant
            and len({known.scraped.get(leaf.signal, {}).get("instance") for leaf in self.leaves}) == 1
        )

    def promql(self, known: Known) -> Expression:
        keys = on(matched(known, *self.parts))
        texts = [part.promql(known).text for part in self.parts]
        labels = self.labels(known)
        if not self._alike(known):
            names = ", ".join(sorted(labels))
            texts = [
                f"{part.worst} by ({names}) (\n  {indented(text)}\n)"
                for part, text in zip(self.parts, texts, strict=True)
            ]
        text = f"\nor {keys}\n  ".join(indented(text) for text in texts)
        return Expression(f"(\n  {text}\n)", labels)

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return " or ".join(part.describe(signals) for part in self.parts)

    def always_same_labels(self, known: Known) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AtLeast(Combination):
    """At least ``least`` of the conditions hold, counted for each set of the labels that all have that have any."""

    keyword: ClassVar[str] = "n_of_m"

    least: int = 1

    def read_more(self) -> "AtLeast":
        least = int(self.fields.number("n"))
        if not 1 <= least <= len(self.parts):
            CONDITION.report(
                self.fields.at("n"), f"n must be between 1 and {len(self.parts)}, the number of conditions"
            )
        return replace(self, least=least)

    @property
    def shape(self) -> tuple[object, ...]:
        return (self.least, *(part.shape for part in self.parts))

    def decide(self, outcomes: Sequence[bool]) -> bool:
        return sum(outcomes) >= self.least

    def longest(self, seconds: list[float]) -> float:
        return sorted(seconds, reverse=True)[self.least - 1]

    def labels(self, known: Known) -> frozenset[str]:
        labelled = [part for part in self.parts if part.labels(known)]
        return matched(known, *labelled) if labelled else frozenset()

    def promql(self, known: Known) -> Expression:
        labels = self.labels(known)
        names = ", ".join(sorted(labels))
        members = "\n  or\n".join(
            f'  label_replace({self._member(part, names, known)}, "condition", "{number}", "", "")'
            for number, part in enumerate(self.parts, 1)
        )
        return Expression(f"(count by ({names}) (\n{members}\n) >= {self.least})", labels)

    def _member(self, part: Condition, names: str, known: Known) -> str:
        """Return one series for each set of labels for which the part holds."""
        grouped = f"group by ({names}) ({part.promql(known).text})"
        if part.labels(known) or not names:
            return grouped
        # without labels it holds for every set that exists, or for none in particular
        signals = dict.fromkeys(leaf.signal for other in self.parts if other.labels(known) for leaf in other.leaves)
        every = " or ".join(f"group by ({names}) ({known.records[signal]})" for signal in signals)
        return f"(({every}) and on () {grouped} or {grouped} unless on () ({every}))"

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return f"at least {self.least} of: " + ", ".join(part.describe(signals) for part in self.parts)

    def always_same_labels(self, known: Known) -> bool:
        return True


def matched(known: Known, *conditions: Condition) -> frozenset[str]:
    """Return the labels by which the results of conditions are matched; none when one of them has no labels."""
    origins = tuple([known.origins.get(one) or _origin(one, known) for one in conditions])
    if (labels := known.matched.get(origins)) is None:
        common = frozenset.intersection(*(condition.labels(known) for condition in conditions))
        signals = (leaf.signal for one in conditions for leaf in one.leaves if leaf.keeps_labels)
        labels = known.matched[origins] = known.by_meaning(common, signals)
    return labels


def _origin(condition: Condition, known: Known) -> tuple[object, ...]:
    """Return all that matters of a condition for the labels by which it is matched: the same for most objectives."""
    signals = frozenset(leaf.signal for leaf in condition.leaves if leaf.keeps_labels)
    sources = frozenset(tuple(known.scraped.get(signal, {}).items()) for signal in signals)
    unknown = any(value is None for source in sources for _, value in source) or () in sources
    origin = known.origins[condition] = (condition.labels(known), sources, signals if unknown else None)
    return origin


def indented(text: str) -> str:
    """Return PromQL with every line but the first indented."""
    return text.replace("\n", "\n  ")
