"""Truth tables of alerts: the model that rendered rules are tested against."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

from jelmon_generators.model.conditions.base import Directions, Key, SignalCondition, Values
from jelmon_generators.model.definitions import Alert

Outcomes = tuple[bool, ...]
"""Whether each condition about one signal holds, in the order of `Alert.leaves`."""
Amounts = tuple[float | None, ...]
"""A value for each key, in the order of the keys; None: the series does not exist."""


@dataclass(frozen=True, slots=True)
class Formula:
    """How an alert follows from its conditions about one signal; alerts of the same form have equal ones."""

    shape: tuple[object, ...]
    alert: Alert = field(compare=False, repr=False)

    def holds(self, outcomes: Outcomes) -> bool:
        """Return whether the alert's condition holds and none of its exceptions does."""
        rest = iter(outcomes)
        holds = self.alert.condition.follows(rest)
        return holds and not any(part.follows(rest) for part in self.alert.unless)


def holds(alert: Alert, values: Values, directions: Directions) -> bool:
    """Return whether the alert's condition holds and none of its exceptions does."""
    return _formula(alert).holds(tuple(leaf.is_met(values, directions) for leaf in alert.leaves))


def with_leaf(alert: Alert, old: SignalCondition, new: SignalCondition) -> Alert:
    """Return the alert with one condition replaced by another."""
    return replace(
        alert,
        condition=alert.condition.with_leaf(old, new),
        unless=tuple(part.with_leaf(old, new) for part in alert.unless),
    )


def truth_table(alert: Alert, directions: Directions, *, with_absence: bool) -> list[tuple[Values, bool]]:
    """Return every combination of outcomes, and every edge of every condition where that condition decides.

    Each comes with whether the alert holds. Hundreds of objectives have alerts of the same form: what follows from the
    form alone is worked out once.
    """
    leaves, formula = alert.leaves, _formula(alert)
    candidates: dict[Key, list[float | None]] = {}
    for leaf in leaves:
        known = candidates.setdefault(leaf.key, [])
        known.extend(value for value in leaf.edges(directions) if value not in known)
    if with_absence:
        for values in candidates.values():
            if None not in values:
                values.append(None)
    keys = tuple(candidates)
    met = [_outcome(leaf, keys, directions) for leaf in leaves]

    def outcomes(row: Amounts) -> Outcomes:
        return tuple([judge(row) for judge in met])

    table = _table(leaves, candidates, directions)
    rows = {row: outcomes(row) for row in table}
    decisive = _decisive(formula, tuple(rows.values()))
    for leaf, number in zip(leaves, decisive, strict=True):
        base, place = table[number], keys.index(leaf.key)
        for value in candidates[leaf.key]:
            row = (*base[:place], value, *base[place + 1 :])
            if row not in rows:
                rows[row] = outcomes(row)
    return [(dict(zip(keys, row, strict=True)), _follows(formula, found)) for row, found in rows.items()]


def _table(
    leaves: tuple[SignalCondition, ...], candidates: dict[Key, list[float | None]], directions: Directions
) -> list[Amounts]:
    """Return every combination of outcomes, with one value for each."""
    representatives: list[list[float | None]] = []
    for key, values in candidates.items():
        fed = [leaf for leaf in leaves if leaf.key == key]
        by_outcome: dict[Outcomes, float | None] = {}
        for value in values:
            by_outcome.setdefault(tuple(leaf.is_met({key: value}, directions) for leaf in fed), value)
        representatives.append(list(by_outcome.values()))
    return list(itertools.product(*representatives))


def _outcome(leaf: SignalCondition, keys: tuple[Key, ...], directions: Directions) -> Callable[[Amounts], bool]:
    """Return a function that says whether a condition holds in a row: it remembers the answers."""
    read = [place for place, key in enumerate(keys) if key[1] == leaf.signal]
    part: Callable[[Amounts], Any] = itemgetter(*read)
    known: dict[Any, bool] = {}

    def outcome(row: Amounts) -> bool:
        if (answer := known.get(values := part(row))) is None:
            answer = known[values] = leaf.is_met(dict(zip(keys, row, strict=True)), directions)
        return answer

    return outcome


@lru_cache(maxsize=65_536)
def _formula(alert: Alert) -> Formula:
    return Formula((alert.condition.shape, *(part.shape for part in alert.unless)), alert)


@lru_cache(maxsize=65_536)
def _follows(formula: Formula, outcomes: Outcomes) -> bool:
    return formula.holds(outcomes)


@lru_cache(maxsize=256)
def _decisive(formula: Formula, table: tuple[Outcomes, ...]) -> tuple[int, ...]:
    """Return for each condition the first row of the table in which it alone decides; 0 if there is none."""

    def decides(leaf: int, row: Outcomes) -> bool:
        with_it, without = ((*row[:leaf], outcome, *row[leaf + 1 :]) for outcome in (True, False))
        return _follows(formula, with_it) != _follows(formula, without)

    leaves = range(len(table[0]))
    return tuple(next((place for place, row in enumerate(table) if decides(leaf, row)), 0) for leaf in leaves)
