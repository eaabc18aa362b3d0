"""Every kind of condition, and the reading of one from YAML."""

from collections.abc import Mapping

from jelmon.config.strict_yaml import Fields
from jelmon_generators.checks import CONDITION
from jelmon_generators.model.conditions.absence import Absent
from jelmon_generators.model.conditions.base import Condition, SignalCondition
from jelmon_generators.model.conditions.combination import AllOf, AnyOf, AtLeast, Combination
from jelmon_generators.model.conditions.comparison import Compare, Operator
from jelmon_generators.model.conditions.outside import Outside
from jelmon_generators.model.conditions.regression import Regression

OPERATORS: Mapping[str, type[SignalCondition]] = {
    **{str(operator): Compare for operator in Operator},
    "outside": Outside,
    "absent": Absent,
    "regression": Regression,
}
"""Operator of a condition about one signal -> its kind."""
COMBINATIONS: Mapping[str, type[Combination]] = {kind.keyword: kind for kind in (AllOf, AnyOf, AtLeast)}
"""Field that lists the parts -> kind of combination."""


def read_condition(fields: Fields, *, top: bool = False) -> Condition | None:
    """Return the condition in these fields, or None after reporting why there is none.

    ``top``: the fields are those of an alert, which has others as well.
    """
    written = [name for name in ("metric_path", *COMBINATIONS) if fields.has(name)]
    if len(written) != 1:
        CONDITION.report(
            fields.place,
            f"a condition needs exactly one of metric_path, {', '.join(COMBINATIONS)}; found {len(written)}",
            hint="write metric_path (a signal), operator and threshold",
        )
        return None
    condition: Condition | None
    if written[0] == "metric_path":
        operator = fields.choice("operator", OPERATORS)
        condition = OPERATORS[operator].read(fields, operator)
    else:
        condition = _combination(fields, COMBINATIONS[written[0]])
    if not top:
        fields.done("a condition")
    return condition


def _combination(fields: Fields, kind: type[Combination]) -> Condition | None:
    parts = tuple(part for item in fields.items(kind.keyword) if (part := read_condition(item)) is not None)
    if len(parts) < 2:
        CONDITION.report(fields.at(kind.keyword), f"{kind.keyword}: needs at least two conditions")
        return None
    return kind(parts=parts, fields=fields).read_more()
