"""An alert under test: the rows of its truth table, their labels, and the series that give a row its values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jelmon_generators.compile.rules import ALERT_VALUE, Compiled
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.conditions.base import Key, Timing, Values
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.model.truth import holds, truth_table
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, number, string

Labels = dict[str, str]
Check = tuple[str, float, list[str]]
"""A query, the second at which it is asked, and the samples expected."""
Pattern = list[tuple[list[str], str]]
"""Series, divided where the name of a row belongs, with their values."""
_ANY_ROW = "name-of-a-row"  # stands for it


@dataclass(frozen=True, slots=True)
class Declared:
    """A threshold that a metric gives for the job of a signal."""

    metric: str
    signal: str
    value: float


@dataclass(frozen=True, slots=True)
class Row:
    """One combination of values, distinguished from the others by its labels."""

    labels: Labels
    values: Values
    fires: bool
    declared: Declared | None = None

    @property
    def missing(self) -> set[Key]:
        """What has no series."""
        return {key for key, value in self.values.items() if value is None}


class Subject:
    """One alert, and how to feed it.

    ``by_fallback``: feed what conditions read when their usual input is missing; ``row_label``: distinguish rows by it.
    """

    def __init__(
        self,
        compiled: Compiled,
        made: Compilation,
        interval: float,
        *,
        by_fallback: bool = False,
        row_label: str | None = None,
    ) -> None:
        self.compiled = compiled
        self.alert = compiled.alert
        self.made = made
        self.known = compiled.known
        self.interval = interval
        self.by_fallback = by_fallback
        self.directions = self.known.directions
        self.row_label = row_label or self._row_label()
        self.rows = self._rows()

    # --- time ---

    def round_up(self, seconds: float) -> float:
        """Return the first evaluation at or after a time."""
        return -(-seconds // self.interval) * self.interval

    def lingers(self, row: "Row") -> float:
        """Return for how many seconds the condition holds after the last values of a row."""
        return max(0.0, self.alert.condition.lasts(row.values, self.directions, self.known))

    @property
    def steady(self) -> float:
        """When a condition that holds from the start has led to a firing alert."""
        return self.round_up(self.alert.duration_seconds) + 2 * self.interval

    @property
    def steady_shape(self) -> str:
        """The shape of a series that keeps its value until then."""
        return f"x{round(self.steady / self.interval) + 2}"

    @property
    def levels(self) -> list[float]:
        """The levels of the escalation, in seconds after the alert started to fire."""
        escalation = self.made.bundle.escalations.get(self.alert.escalation or "")
        return [level.minutes * 60 for level in escalation.levels] if escalation else []

    @property
    def timing(self) -> Timing:
        """What the conditions' own test cases need to know."""
        alert = self.alert
        return Timing(alert.rule_id, alert.duration_seconds, alert.keep_firing_seconds, self.interval)

    # --- truth ---

    @property
    def is_constant(self) -> bool:
        """Whether the signal has a value without any input."""
        return not self.made.analyses[self.alert.signals[0]].names

    @property
    def fires_without_input(self) -> bool:
        """Whether the alert fires when nothing exists."""
        return holds(self.alert, {leaf.key: None for leaf in self.alert.leaves}, self.directions)

    @property
    def present(self) -> Row:
        """A row in which every signal exists."""
        return Row({}, {leaf.key: 1.0 for leaf in self.alert.leaves}, False)

    def _rows(self) -> list[Row]:
        with_absence = self.row_label is not None or len({leaf.key for leaf in self.alert.leaves}) > 1
        return [
            Row({self.row_label: f"row-{place:02}"} if self.row_label else {}, values, fires)
            for place, (values, fires) in enumerate(
                truth_table(self.alert, self.directions, with_absence=with_absence), 1
            )
        ]

    # --- labels ---

    def _row_label(self) -> str | None:
        """Return a label that distinguishes rows without letting them match each other; None: one row at a time."""
        if not all(leaf.keeps_labels for leaf in self.alert.leaves):
            return None
        common = frozenset.intersection(*(self.known.labels[leaf.signal] for leaf in self.alert.leaves))
        if others := sorted(common - NOT_FOR_MATCHING):
            return "pipeline" if "pipeline" in others else others[0]
        return "instance" if len(self.alert.leaves) == 1 else None

    @property
    def other_row_labels(self) -> list[str]:
        """The other labels by which every match of the rules tells rows apart, and which each of these series has."""
        if self.row_label is None:
            return []
        common = frozenset.intersection(*(self.known.labels[leaf.signal] for leaf in self.alert.leaves))
        matches = [set(names.split(", ")) for names in re.findall(r"\bon \(([^()]*)\)", self.compiled.rules[0].expr)]
        return sorted(set.intersection(*matches) & common - {self.row_label}) if matches else []

    def labels_of(self, signal: str, row: Mapping[str, str]) -> Labels:
        """Return the labels of a signal's recorded series in a row."""
        labels = _labels(self.known.labels[signal], row)
        if "job" in labels and "job" not in row:
            labels["job"] = self._job(signal)
        if "instance" in labels and "instance" not in row:
            set_by_rule = self.known.labels[signal] - (self.made.analyses[signal].labels or frozenset())
            labels["instance"] = "all" if "instance" in set_by_rule else "a-instance"
        return labels

    def _job(self, signal: str) -> str:
        return self.known.scraped[signal]["job"] or "a-job"

    # --- series ---

    def series(self, rows: Iterable[Row], shape: str) -> list[tuple[str, str]]:
        """Return input for these rows; ``shape`` follows each value, such as ``x20``."""
        rows = list(rows)
        inputs: dict[str, str] = {}
        patterns: dict[tuple[Key, float], Pattern] = {}
        label = self.row_label or ""
        for row in rows:
            name = row.labels.get(label, "")
            # such rows differ in the value of that label only, and it needs no escapes
            plain = row.labels.keys() == {label} and string(name) == f'"{name}"'
            labels, name = ({label: _ANY_ROW}, name) if plain else (row.labels, _ANY_ROW)
            for key, value in row.values.items():
                if value is None:
                    continue
                pattern = patterns.get((key, value)) if plain else None
                if pattern is None:
                    pattern = patterns[key, value] = [
                        (series.split(_ANY_ROW), f"{number(amount)}{shape}")
                        for series, amount in self._inputs(key, value, row, labels)
                    ]
                for pieces, text in pattern:
                    inputs[name.join(pieces)] = text
            if row.declared is not None:
                inputs[self._declaring(row.declared, row.labels)] = f"{number(row.declared.value)}{shape}"
        if not self.by_fallback:
            fed = {key for row in rows for key in row.values}
            for leaf in self.alert.leaves:
                if leaf.key in fed:
                    inputs.update(leaf.constant_inputs(self.interval))
        return list(inputs.items())

    def _inputs(self, key: Key, value: float, row: Row, row_labels: Labels) -> list[tuple[str, float]]:
        leaf = next(leaf for leaf in self.alert.leaves if leaf.key == key)
        labels, known = self.labels_of(leaf.signal, row_labels), self.known
        fallback = leaf.fallback_inputs(value, labels, known) if self.by_fallback else []
        return fallback or leaf.inputs(value, labels, known, row.values.keys())

    def _declaring(self, declared: Declared, row: Mapping[str, str]) -> str:
        labels = _labels(self.known.metric_labels(declared.metric), row)
        return selector(declared.metric, {**labels, "job": row.get("job", self._job(declared.signal))})

    # --- what is expected ---

    def firing(self, *by: str, every_level: bool = False) -> str:
        """Return the query for the alert: of the base alert, or of each level as well."""
        level = "" if every_level else ',escalation_level=""'
        names = f'alertname="{self.alert.name}",rule_id="{self.alert.rule_id}"'
        return f'group by ({", ".join(by)}) (ALERTS{{{names},alertstate="firing"{level}}})'

    def checks(self, label: str, samples: list[str]) -> list[Check]:
        """Return the checks that the alert fires for these samples, and that the value its levels read exists."""
        found: list[Check] = [(self.firing(label), self.steady, samples)]
        if self.levels:
            found += self._values(label, samples)
        return found

    def one_row_checks(self, *, fires: bool) -> list[Check]:
        """Return the same checks for a single row, whatever its labels are."""
        found: list[Check] = [(self.firing("alertname"), self.steady, [self.name_sample] if fires else [])]
        if self.levels:
            found += self._values("alertname", ["{}"] if fires else [])
        return found

    def with_values(self, case: Case) -> Case:
        """Return a case in which the recorded value is asked for too wherever the alert has just begun to fire."""
        for query, seconds, samples in [*case.checks] if self.levels else ():
            if seconds == self.steady and query.startswith("group by (pipeline)"):
                case.checks += self._values("pipeline", samples)
        return case

    def value(self, by: str) -> str:
        """Return a query for the recorded value of the alert."""
        return f'group by ({by}) ({ALERT_VALUE}{{rule_id="{self.alert.rule_id}"}})'

    def _values(self, by: str, samples: list[str]) -> list[Check]:
        """Return the checks that the recorded value exists for these samples, and is that of the alert's expression."""
        base = self.compiled.rules[0]
        found: list[Check] = [(self.value(by), self.steady, samples)]
        if samples and not self.compiled.expression.labels & base.labels.keys():
            same = f"== ignoring ({', '.join(sorted(base.labels))}) ({base.expr})"
            query = f'group by ({by}) ({ALERT_VALUE}{{rule_id="{self.alert.rule_id}"}} {same})'
            found.append((query, self.steady, samples))
        return found

    @property
    def name_sample(self) -> str:
        """The sample that the alert fires, whatever its labels are."""
        return f'{{alertname="{self.alert.name}"}}'


def _labels(names: Iterable[str], row: Mapping[str, str]) -> Labels:
    return {name: row.get(name, f"a-{name}") for name in names}
