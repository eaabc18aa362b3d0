"""Error budgets of objectives, as Prometheus records them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jelmon_board.model.samples import Labels

QUERY = '{__name__=~"jelmore:slo_.+_budget_(left_ratio|exhausted_in_seconds)"}'
_NAME = re.compile(r"jelmore:slo_(.+)_budget_(left_ratio|exhausted_in_seconds)")
_HIDDEN = ("__name__", "job", "instance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left of an error budget: 1 is all of it, below 0 it is overspent."""

    name: str
    labels: Labels
    left: float
    exhausted_seconds: float | None = None


def budgets(values: Iterable[tuple[Labels, float]]) -> tuple[Budget, ...]:
    """Return the budgets from the result of the query, the emptiest first."""
    left: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    until: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for labels, value in values:
        found = _NAME.fullmatch(labels.get("__name__", ""))
        if found is not None:
            own = tuple(sorted((name, text) for name, text in labels.items() if name not in _HIDDEN))
            (left if found[2] == "left_ratio" else until)[found[1], own] = value
    rows = [
        Budget(name=name, labels=dict(labels), left=value, exhausted_seconds=until.get((name, labels)))
        for (name, labels), value in left.items()
    ]
    return tuple(sorted(rows, key=lambda row: row.left))
