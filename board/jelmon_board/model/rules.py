"""Alerting rules as Prometheus runs them: thresholds, and the levels of escalation."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jelmon_board.model.samples import Labels

_COMPARED = re.compile(
    r"last_over_time\(jelmore:(\w+)\[\w+\]\)\s*(>=|<=|>|<)\s*(?:"
    r"([-+]?\d[\d.e+-]*)|on \([\w, ]*\) group_left \([\w, ]*\) max by \([\w, ]*\) \(last_over_time\((\w+)\[)"
)
_RULE_ID = re.compile(r'rule_id="(\w+)"')
_LEVEL_SECONDS = re.compile(r">=\s*(\d+)\s*\)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAlert:
    """One alert of a rule: pending or firing."""

    labels: Labels
    annotations: Labels
    state: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alerting rule."""

    name: str
    query: str
    labels: Labels
    annotations: Labels
    seconds: float = 0.0
    """How long its condition must hold."""
    state: str = ""
    error: str = ""
    alerts: tuple[RuleAlert, ...] = ()

    @property
    def level(self) -> int:
        """The level of escalation that this rule is; 0 for the alert itself."""
        level = self.labels.get("escalation_level", "")
        return int(level) if level.isascii() and level.isdigit() and len(level) < 4 else 0

    @property
    def rule_id(self) -> str:
        """The id of the definition; that of a level is in its query, as its series has the label."""
        found = _RULE_ID.search(self.query) if self.level else None
        return self.labels.get("rule_id") or (found[1] if found else "")

    @property
    def after_seconds(self) -> float | None:
        """How long the alert must fire until this level; None if the rule does not say."""
        found = _LEVEL_SECONDS.search(self.query)
        return float(found[1]) if self.level and found else None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value beyond which an alert fires."""

    value: float
    above: bool
    alert: str
    severity: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a rule compares a signal with: a number, or a gauge that the pipeline declares."""

    above: bool
    alert: str
    severity: str
    value: float | None
    declared: str | None


Compared = Mapping[str, tuple[Comparison, ...]]
"""What rules compare each signal with."""


def comparisons(rules: Iterable[AlertRule]) -> Compared:
    """Return what the rules compare each signal with."""
    found: dict[str, list[Comparison]] = {}
    for rule in rules:
        if rule.level:
            continue
        for signal, operator, number, declared in _COMPARED.findall(rule.query):
            entry = Comparison(
                above=operator.startswith(">"),
                alert=rule.name,
                severity=rule.labels.get("severity", ""),
                value=float(number) if number else None,
                declared=declared or None,
            )
            if entry not in found.setdefault(signal, []):
                found[signal].append(entry)
    return {signal: tuple(entries) for signal, entries in found.items()}


def thresholds(compared: Compared, signal: str, declared: Mapping[str, float]) -> list[Threshold]:
    """Return the thresholds of a signal; ``declared``: the limits of this pipeline, which replace fixed ones."""
    rows = compared.get(signal, ())
    by_pipeline = {row.alert for row in rows if row.declared in declared}
    result = []
    for row in rows:
        if row.declared is not None:
            if row.declared in declared:
                result.append(Threshold(declared[row.declared], row.above, row.alert, row.severity))
        elif row.value is not None and row.alert not in by_pipeline:
            result.append(Threshold(row.value, row.above, row.alert, row.severity))
    return result
