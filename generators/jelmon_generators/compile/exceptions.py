"""The ``unless`` of an alert: where one of its exceptions holds, the condition does not count."""

from collections.abc import Collection

from jelmon_generators.model.conditions.base import Condition
from jelmon_generators.model.conditions.combination import indented, matched
from jelmon_generators.model.known import Known
from jelmon_generators.promql.expressions import Expression, on


def excluded(condition: Condition, exceptions: Collection[Condition], known: Known) -> Expression:
    """Return the condition, except where one of the exceptions holds for the same labels."""
    text, labels = condition.promql(known)
    if not exceptions:
        return Expression(text, labels)
    patient = known.for_exceptions(leaf.signal for leaf in condition.leaves)
    for exception in exceptions:
        keys = on(matched(known, condition, exception))
        text += f"\nunless {keys}\n  {indented(_grouped(exception.promql(patient).text))}"
    return Expression(text, labels)


def _grouped(text: str) -> str:
    return text if text.startswith("(") and _closes_at_end(text) else f"({text})"


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
