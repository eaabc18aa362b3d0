"""The ``unless`` of an alert: where one of its exceptions holds, the condition does not count."""

from collections.abc import Iterable

from jelmon_generators.model.conditions.combination import indented
from jelmon_generators.promql.expressions import Expression, on, shared


def excluded(expression: Expression, exceptions: Iterable[Expression]) -> Expression:
    """Return the expression, except where one of the exceptions holds for the same labels."""
    text = expression.text
    for exception in exceptions:
        text += f"\nunless {on(shared(expression.labels, exception.labels))}\n  {indented(_grouped(exception.text))}"
    return Expression(text, expression.labels)


def _grouped(text: str) -> str:
    return text if text.startswith("(") and _closes_at_end(text) else f"({text})"


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
