"""What an expression reads: its selectors, and whether replicas that expose the same are taken together."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import promql_parser as parser

from jelmon_generators.promql.expressions import string
from jelmon_generators.promql.series import OPTIONAL_LABELS, TARGET_LABELS

_SAME_OF_EQUALS = frozenset({"max", "min", "avg", "group"})
_REPLICA = TARGET_LABELS - {"job"} | OPTIONAL_LABELS


@lru_cache(maxsize=64)  # asked for each series
def selectors(text: str) -> tuple[str, ...]:
    """Return the selectors of an expression, without windows and offsets."""
    return tuple(name for name, _ in _read(parser.parse(text), merged=False))


def merges_replicas(text: str) -> bool:
    """Return whether every selector is below an aggregation that makes one of several replicas' equal series."""
    found = [merged for _, merged in _read(parser.parse(text), merged=False)]
    return bool(found) and all(found)


def _read(node: Any, *, merged: bool) -> Iterator[tuple[str, bool]]:
    match node:
        case parser.VectorSelector():
            matchers = ",".join(f"{one.name}{_SIGNS[str(one.op)]}{string(one.value)}" for one in node.matchers.matchers)
            yield f"{node.name or ''}{{{matchers}}}", merged
        case parser.MatrixSelector():
            yield from _read(node.vector_selector, merged=merged)
        case parser.AggregateExpr():
            yield from _read(node.expr, merged=merged or _merges(node))
        case parser.Call():
            for argument in node.args:
                yield from _read(argument, merged=merged)
        case parser.BinaryExpr():
            for side in (node.lhs, node.rhs):
                yield from _read(side, merged=merged)
        case parser.ParenExpr() | parser.UnaryExpr() | parser.SubqueryExpr():
            yield from _read(node.expr, merged=merged)


_SIGNS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def _merges(node: Any) -> bool:
    if str(node.op) not in _SAME_OF_EQUALS:
        return False
    if node.modifier is None:
        return True
    names = set(node.modifier.labels)
    return not _REPLICA & names if node.modifier.type == parser.AggModifierType.By else names >= _REPLICA
