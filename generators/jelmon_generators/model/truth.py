"""Whether a definition's condition holds for given values: the model that rendered rules are tested against."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

from jelmon_generators.model.definitions import (
    Absent,
    Alert,
    Combined,
    Compare,
    Condition,
    Direction,
    Operator,
    Outside,
    Regression,
    Simple,
    simple_conditions,
)
from jelmon_generators.promql.expressions import number

Key = tuple[str, str]
"""What is fed: ("signal", name), or ("regression", name) for the verdict about a signal."""
Values = dict[Key, float | None]
Directions = Mapping[str, Direction]

_COMPARE = {
    Operator.GT: lambda value, threshold: value > threshold,
    Operator.GE: lambda value, threshold: value >= threshold,
    Operator.LT: lambda value, threshold: value < threshold,
    Operator.LE: lambda value, threshold: value <= threshold,
    Operator.EQ: lambda value, threshold: value == threshold,
    Operator.NE: lambda value, threshold: value != threshold,
}


def key_of(leaf: Simple) -> Key:
    """What this condition is fed by."""
    return ("regression" if isinstance(leaf, Regression) else "signal", leaf.signal)


def leaves(alert: Alert) -> list[Simple]:
    """The conditions about one signal that an alert is made of."""
    return [leaf for condition in (alert.condition, *alert.unless) for leaf in simple_conditions(condition)]


Forced = tuple[Simple, bool] | None
"""One condition that is taken to hold, or not, whatever the values say."""


def holds(alert: Alert, values: Values, directions: Directions, forced: Forced = None) -> bool:
    """Whether the alert's condition holds, its exceptions considered."""
    return true(alert.condition, values, directions, forced) and not any(
        true(part, values, directions, forced) for part in alert.unless
    )


def true(condition: Condition, values: Values, directions: Directions, forced: Forced = None) -> bool:
    """Whether a condition holds. A value of None is a series that is not there."""
    if forced is not None and condition is forced[0]:
        return forced[1]
    if isinstance(condition, Combined):
        outcomes = (true(part, values, directions, forced) for part in condition.parts)
        match condition.kind:
            case "all":
                return all(outcomes)
            case "any":
                return any(outcomes)
        return sum(outcomes) >= condition.least
    value = values[key_of(condition)]
    match condition:
        case Absent():
            return value is None
        case _ if value is None:
            return False
        case Compare():
            return bool(_COMPARE[condition.operator](value, condition.threshold))
        case Outside():
            return value < condition.low or value > condition.high
        case Regression():  # a verdict about a signal that is not there is no verdict
            there = values.get(("signal", condition.signal), 0.0) is not None
            return there and sign(condition, directions) * value > condition.threshold


def with_leaf(alert: Alert, old: Simple, new: Simple) -> Alert:
    """The alert with one condition replaced by another."""
    return replace(
        alert,
        condition=_replaced(alert.condition, old, new),
        unless=tuple(_replaced(part, old, new) for part in alert.unless),
    )


def _replaced(condition: Condition, old: Simple, new: Simple) -> Condition:
    if isinstance(condition, Combined):
        return replace(condition, parts=tuple(_replaced(part, old, new) for part in condition.parts))
    return new if condition is old else condition


def sign(condition: Regression, directions: Directions) -> int:
    """-1 where a smaller value is worse."""
    return -1 if directions[condition.signal] is Direction.DOWN else 1


def edges(leaf: Simple, directions: Directions, threshold: float | None = None) -> list[float | None]:
    """The values that tell this condition from every near miss."""
    match leaf:
        case Absent():
            return [None, 1.0]
        case Compare():
            return _around(leaf.threshold if threshold is None else threshold)
        case Outside():
            return [*_around(leaf.low), *_around(leaf.high)]
        case Regression():
            worse = sign(leaf, directions) * leaf.threshold
            return [worse * 0.99, worse * 1.01]


def _around(value: float) -> list[float | None]:
    step = abs(value) / 1000 or 0.001
    return [float(number(value - step)), value, float(number(value + step))]


def combinations(alert: Alert, directions: Directions, *, with_absence: bool) -> list[Values]:
    """The truth table of the alert, and every edge of every condition where it decides."""
    parts = leaves(alert)
    candidates: dict[Key, list[float | None]] = {}
    for leaf in parts:
        known = candidates.setdefault(key_of(leaf), [])
        known.extend(value for value in edges(leaf, directions) if value not in known)
    if with_absence:
        for values in candidates.values():
            if None not in values:
                values.append(None)
    table = _table(parts, candidates, directions)
    found = [*table]
    for leaf in parts:
        key = key_of(leaf)
        decisive = _decisive(alert, leaf, table, directions)
        found += [changed for value in candidates[key] if (changed := {**decisive, key: value}) not in found]
    return found


def _table(parts: list[Simple], candidates: dict[Key, list[float | None]], directions: Directions) -> list[Values]:
    """Every combination of what can hold, with one value for each."""
    kinds: list[list[float | None]] = []
    for key, values in candidates.items():
        own = [leaf for leaf in parts if key_of(leaf) == key]
        seen: dict[tuple[bool, ...], float | None] = {}
        for value in values:
            seen.setdefault(tuple(true(leaf, {key: value}, directions) for leaf in own), value)
        kinds.append(list(seen.values()))
    return [dict(zip(candidates, row, strict=True)) for row in itertools.product(*kinds)]


def _decisive(alert: Alert, leaf: Simple, table: list[Values], directions: Directions) -> Values:
    """A combination of values in which this condition alone decides."""
    for row in table:
        if holds(alert, row, directions, (leaf, True)) != holds(alert, row, directions, (leaf, False)):
            return row
    return table[0]
