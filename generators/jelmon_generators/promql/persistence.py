"""How long the result of an expression outlives the scrapes that it is made from."""

import math
from typing import Any

import promql_parser as parser


def persists(text: str) -> float:
    """Return for how many seconds an expression still has a result when its metrics are no longer scraped.

    A failed scrape ends a series at once, so that is 0 for a gauge; a window outlives it; a constant is there forever.
    """
    try:
        return _of(parser.parse(text))
    except ValueError:  # reported where the expression is checked
        return 0.0


def _of(node: Any) -> float:
    match node:
        case parser.ParenExpr() | parser.UnaryExpr() | parser.AggregateExpr():
            return _of(node.expr)
        case parser.VectorSelector():
            return 0.0
        case parser.MatrixSelector():
            return _seconds(node)
        case parser.SubqueryExpr():
            return _seconds(node) + _of(node.expr)
        case parser.Call():
            absence = node.func.name.startswith("absent")
            return math.inf if absence else min((_of(argument) for argument in node.args), default=math.inf)
        case parser.BinaryExpr():
            left, right = _of(node.lhs), _of(node.rhs)
            return max(left, right) if str(node.op) == "or" else left if str(node.op) == "unless" else min(left, right)
    return math.inf  # a number or a string


def _seconds(node: Any) -> float:
    return float(node.range.total_seconds()) if node.range is not None else 0.0
