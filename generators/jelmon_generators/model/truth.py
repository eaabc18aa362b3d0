"""Truth tables of alerts: the model that rendered rules are tested against."""

import itertools
from dataclasses import replace

from jelmon_generators.model.conditions.base import Directions, Forced, Key, SignalCondition, Values
from jelmon_generators.model.definitions import Alert


def holds(alert: Alert, values: Values, directions: Directions, forced: Forced | None = None) -> bool:
    """Return whether the alert's condition holds and none of its exceptions does."""
    return alert.condition.holds(values, directions, forced) and not any(
        part.holds(values, directions, forced) for part in alert.unless
    )


def with_leaf(alert: Alert, old: SignalCondition, new: SignalCondition) -> Alert:
    """Return the alert with one condition replaced by another."""
    return replace(
        alert,
        condition=alert.condition.with_leaf(old, new),
        unless=tuple(part.with_leaf(old, new) for part in alert.unless),
    )


def combinations(alert: Alert, directions: Directions, *, with_absence: bool) -> list[Values]:
    """Return the truth table of the alert, and every edge of every condition where that condition decides."""
    leaves = alert.leaves
    candidates: dict[Key, list[float | None]] = {}
    for leaf in leaves:
        known = candidates.setdefault(leaf.key, [])
        known.extend(value for value in leaf.edges(directions) if value not in known)
    if with_absence:
        for values in candidates.values():
            if None not in values:
                values.append(None)
    table = _table(leaves, candidates, directions)
    rows = [*table]
    for leaf in leaves:
        decisive = _decisive(alert, leaf, table, directions)
        rows += [row for value in candidates[leaf.key] if (row := {**decisive, leaf.key: value}) not in rows]
    return rows


def _table(
    leaves: tuple[SignalCondition, ...], candidates: dict[Key, list[float | None]], directions: Directions
) -> list[Values]:
    """Return every combination of outcomes, with one value for each."""
    representatives: list[list[float | None]] = []
    for key, values in candidates.items():
        fed = [leaf for leaf in leaves if leaf.key == key]
        by_outcome: dict[tuple[bool, ...], float | None] = {}
        for value in values:
            by_outcome.setdefault(tuple(leaf.holds({key: value}, directions) for leaf in fed), value)
        representatives.append(list(by_outcome.values()))
    return [dict(zip(candidates, row, strict=True)) for row in itertools.product(*representatives)]


def _decisive(alert: Alert, leaf: SignalCondition, table: list[Values], directions: Directions) -> Values:
    """Return a combination of values in which this condition alone decides."""
    for row in table:
        outcomes = [holds(alert, row, directions, Forced(leaf, outcome)) for outcome in (True, False)]
        if outcomes[0] != outcomes[1]:
            return row
    return table[0]
