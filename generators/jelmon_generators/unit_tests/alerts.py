"""A promtool unit test for every alert, made from its definition.

Each test loads only the rule file of the alert's signal, so that the cost of all tests grows with their number and no
faster. Signals are fed by their recorded names; whether a recording is right is what the signals' examples are for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from jelmon.catalogue import BY_SERIES
from jelmon_generators.compile.rules import CARRIED_SECONDS, Compiled
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.definitions import Absent, Combined, Compare, Condition, Regression, simple_conditions
from jelmon_generators.model.truth import Key, Values, combinations, edges, holds, key_of, leaves, sign, with_leaf
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, number
from jelmon_generators.unit_tests import regression
from jelmon_generators.unit_tests.promtool import Case, file_text

TESTS_FOLDER = "rules/tests/generated"


Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One combination of values, told apart from the others by its labels."""

    labels: Labels
    values: Values
    fires: bool
    threshold_from: float | None = None


def render(made: Compilation) -> dict[str, str]:
    """One test file for each alert."""
    groups = {signal: group for group in made.groups for signal in group.signals}
    found = {}
    for one in made.compiled:
        group = groups[one.alert.signals[0]]
        cases = _Writer(one, made, group.interval_seconds).cases()
        found[f"{TESTS_FOLDER}/{one.alert.rule_id}.yml"] = file_text(one.alert.source, cases, group)
    return found


class _Writer:
    """The test cases of one alert."""

    def __init__(self, one: Compiled, made: Compilation, interval: float) -> None:
        self._one = one
        self._alert = one.alert
        self._made = made
        self._interval = interval
        self._leaves = leaves(one.alert)
        self._directions = made.known.directions
        self._row_label = self._distinguishing_label()
        self._by_history = False
        self._rows = self._combined_rows()

    def cases(self) -> list[Case]:
        """All of them."""
        rows = self._rows
        found = self._truth_tables(rows, "at the edge and on both sides of it")
        found += self._threshold_cases()
        true = next((row for row in rows if row.fires), None)
        if true is not None:
            found.append(self._timeline(true))
            if self._levels():
                found.append(self._flap(true))
        if self._constant():
            return found
        if not self._fires_without_input():
            found.append(
                Case("without any input nothing fires", checks=[(self._firing("alertname"), self._steady(), [])])
            )
        if isinstance(self._alert.condition, Regression) and not self._alert.unless:
            found += regression.cases(self._alert, self._alert.condition, self._made, self._interval)
        keys = {key_of(leaf) for leaf in self._leaves}
        if any(kind == "regression" and ("signal", signal) not in keys for kind, signal in keys):
            self._by_history = True
            found += self._truth_tables(self._rows, "without an analyzer, by median and MAD")
        return found

    # --- labels and series ---

    def _distinguishing_label(self) -> str | None:
        """A label by which rows can be told apart without meeting each other in the conditions."""
        if any(isinstance(leaf, Absent) for leaf in self._leaves):
            return None
        labels = [self._made.known.labels[leaf.signal] for leaf in self._leaves]
        common = frozenset.intersection(*labels)
        if others := sorted(common - NOT_FOR_MATCHING):
            return "pipeline" if "pipeline" in others else others[0]
        return "instance" if len(self._leaves) == 1 else None

    def _labels(self, names: Iterable[str], row: Labels) -> Labels:
        plain = {name: f"a-{name}" for name in names}
        return {name: row.get(name, value) for name, value in plain.items()}

    def _signal_labels(self, signal: str, row: Labels) -> Labels:
        found = self._labels(self._made.known.labels[signal], row)
        if "job" in found and "job" not in row:
            found["job"] = self._job(signal)
        if "instance" in found and "instance" not in row:
            rule = self._made.known.labels[signal] - (self._made.analyses[signal].labels or frozenset())
            found["instance"] = "all" if "instance" in rule else "a-instance"
        return found

    def _job(self, signal: str) -> str:
        if job := self._made.bundle.signals[signal].job:
            return job
        for name in self._made.analyses[signal].names:
            if name in BY_SERIES:
                return BY_SERIES[name].service.job
        return "a-job"

    # --- what each combination of values means ---

    def _combined_rows(self) -> list[Row]:
        with_absence = self._row_label is not None or len({key_of(leaf) for leaf in self._leaves}) > 1
        return [
            Row({self._row_label: f"row-{place:02}"} if self._row_label else {}, values, self._holds(values))
            for place, values in enumerate(combinations(self._alert, self._directions, with_absence=with_absence), 1)
        ]

    def _holds(self, values: Values) -> bool:
        return holds(self._alert, values, self._directions)

    def _fires_without_input(self) -> bool:
        return self._holds({key_of(leaf): None for leaf in self._leaves})

    def _constant(self) -> bool:
        """Whether the signal has a value without any input."""
        return not self._made.analyses[self._alert.signals[0]].names

    # --- series ---

    def _series(self, rows: Iterable[Row], shape: str) -> list[tuple[str, str]]:
        """Input for these rows; ``shape`` is what follows the value, such as ``x20``."""
        found: dict[str, str] = {}
        for row in rows:
            for (kind, signal), value in row.values.items():
                if value is not None:
                    for series, amount in self._inputs(kind, signal, value, row):
                        found[series] = f"{number(amount)}{shape}"
            if row.threshold_from is not None:
                found[self._threshold_series(row.labels)] = f"{number(row.threshold_from)}{shape}"
        if any(kind == "regression" for row in rows for kind, _ in row.values) and not self._by_history:
            name = "jelmore_analyzer_last_success_timestamp_seconds"
            found[_selector(name, {"analyzer": "regression", "job": "jelmon-analyzer"})] = f"0+{self._interval:g}x600"
        return list(found.items())

    def _inputs(self, kind: str, signal: str, value: float, row: Row) -> list[tuple[str, float]]:
        labels = self._signal_labels(signal, row.labels)
        record = self._made.known.records[signal]
        if kind == "signal":
            return [(_selector(record, labels), value)]
        leaf = next(one for one in self._leaves if isinstance(one, Regression) and one.signal == signal)
        if self._by_history:
            level = max(100.0, 2 * leaf.floor)
            return [
                (_selector(f"{record}:baseline", labels), level),
                (_selector(f"{record}:mad", labels), level * leaf.threshold / 100),
                (_selector(f"{record}:median5m", labels), level * (1 + value)),
            ]
        own = {name: text for name, text in labels.items() if name in ("pipeline", "stage")}
        own |= {"signal": signal, "job": "jelmon-analyzer", "instance": "a-instance"}
        worse = sign(leaf, self._directions)
        near = "upper" if worse < 0 else "lower"
        itself = [] if ("signal", signal) in row.values else [(_selector(record, labels), 1.0)]
        return [
            *itself,
            (_selector("jelmore_regression_change_ratio", own), value),
            (_selector(f"jelmore_regression_change_{near}_ratio", own), worse * (leaf.lower_bound + 0.01)),
            (_selector("jelmore_regression_q_value", own), leaf.q_value / 2),
        ]

    def _threshold_series(self, row: Labels) -> str:
        leaf = self._with_threshold_from()
        assert leaf is not None
        assert leaf.threshold_from is not None
        labels = self._labels(self._made.known.metric_labels(leaf.threshold_from), row)
        return _selector(leaf.threshold_from, {**labels, "job": row.get("job", self._job(leaf.signal))})

    def _with_threshold_from(self) -> Compare | None:
        return next((leaf for leaf in self._leaves if isinstance(leaf, Compare) and leaf.threshold_from), None)

    # --- cases ---

    def _firing(self, *by: str, level: str | None = "") -> str:
        chosen = "" if level is None else f',escalation_level="{level}"'
        selector = (
            f'ALERTS{{alertname="{self._alert.name}",rule_id="{self._alert.rule_id}",alertstate="firing"{chosen}}}'
        )
        return f"group by ({', '.join(by)}) ({selector})"

    def _steady(self) -> float:
        """When a condition that holds from the start has led to a firing alert."""
        return self._ceil(self._alert.duration_seconds) + 2 * self._interval

    def _ceil(self, seconds: float) -> float:
        return -(-seconds // self._interval) * self._interval

    def _truth_tables(self, rows: list[Row], name: str) -> list[Case]:
        shape = f"x{round(self._steady() / self._interval) + 2}"
        if self._row_label is None:
            return [
                Case(
                    f"{name}: {_in_words(row)}",
                    self._series([row], shape),
                    [(self._firing("alertname"), self._steady(), [self._name_sample()] if row.fires else [])],
                )
                for row in rows
            ]
        samples = [f'{{{self._row_label}="{row.labels[self._row_label]}"}}' for row in rows if row.fires]
        if self._constant():  # its own series is there as well
            samples.append('{instance="all"}')
        check = (self._firing(self._row_label), self._steady(), samples)
        return [Case(name, self._series(rows, shape), [check])]

    def _name_sample(self) -> str:
        return f'{{alertname="{self._alert.name}"}}'

    def _threshold_cases(self) -> list[Case]:
        """Declared thresholds, and overrides for some labels."""
        rows: list[Row] = []
        for leaf in self._leaves:
            if not isinstance(leaf, Compare):
                continue
            if leaf.threshold_from and self._row_label:
                declared = leaf.threshold * 2 or 1.0
                labels = [{self._row_label: f"declared-{place}"} for place in range(1, 4)]
                rows += self._moved(leaf, declared, labels, threshold_from=declared)
            for number_of, override in enumerate(leaf.overrides, 1):
                jobs = [f"override-{number_of}-{place}" for place in range(1, 4)]
                rows += self._moved(leaf, override.threshold, [{**dict(override.labels), "job": job} for job in jobs])
        if not rows:
            return []
        by = sorted({"job", *(name for row in rows for name in row.labels)})
        samples = []
        for row in rows:
            if row.fires:
                own = self._signal_labels(self._alert.signals[0], row.labels)
                samples.append(_selector("", {name: own[name] for name in by if name in own}))
        shape = f"x{round(self._steady() / self._interval) + 2}"
        check = (self._firing(*by), self._steady(), samples)
        return [Case("other thresholds, declared or overridden", self._series(rows, shape), [check])]

    def _moved(
        self, leaf: Compare, threshold: float, labels: list[Labels], *, threshold_from: float | None = None
    ) -> list[Row]:
        """Rows around another threshold of one condition, with the others such that this one decides."""
        moved = replace(leaf, threshold=threshold)
        alert = with_leaf(self._alert, leaf, moved)
        values = edges(leaf, self._directions, threshold)
        for row in self._rows:
            around = [{**row.values, key_of(leaf): value} for value in values]
            outcomes = [holds(alert, one, self._directions) for one in around]
            if len(set(outcomes)) > 1:
                return [
                    Row(own, one, fires, threshold_from)
                    for own, one, fires in zip(labels, around, outcomes, strict=True)
                ]
        return []

    def _levels(self) -> list[float]:
        escalation = self._made.bundle.escalations.get(self._alert.escalation or "")
        return [level.minutes * 60 for level in escalation.levels] if escalation else []

    def _timeline(self, row: Row) -> Case:
        """Not before its time, at its time, each level at its minute, through a gap, and gone in the end."""
        if self._constant():
            return self._constant_timeline()
        step, levels = self._interval, self._levels()
        before = 4  # steps of silence first
        start = before * step
        fires = start + self._ceil(self._alert.duration_seconds)
        hold = round((fires - start + (levels[-1] if levels else 0)) / step) + 20
        gap = 4  # missed scrapes, fewer than Prometheus looks back
        end = start + (hold + gap) * step
        label = self._row_label or "alertname"
        sample = f'{{{label}="{row.labels.get(label, self._alert.name)}"}}'
        case = Case("fires exactly in time, through a gap, and resolves")
        false = next((one for one in self._rows if not one.fires and _none(one) == _none(row)), None)
        for series, values in self._series([row], ""):
            if values.startswith("0+"):
                case.series.append((series, values))
                continue
            quiet = dict(self._series([replace(false, labels=row.labels)], "")).get(series) if false else None
            first = f"{quiet}x{before - 1}" if quiet is not None else f"_x{before}"
            last = f"{quiet}x40" if quiet is not None else "stale _x40"
            middle = f"{values}x{hold - 9 - 1} _x{gap} {values}x8"
            case.series.append((series, f"{first} {middle} {last}"))
        if not case.series:  # absence: the input is there first, and comes back
            for series, values in self._series([self._present()], ""):
                case.series.append((series, f"{values}x{before - 1} stale _x{hold + gap - 1} {values}x40"))
        by = (label, "escalation_level")

        def check(seconds: float, count: int | None) -> None:
            samples = [] if count is None else [_level(sample, place) for place in range(count + 1)]
            case.checks.append((self._firing(*by, level=None), seconds, samples))

        check(fires - step, None)
        check(fires, 0)
        if self._one_set_of_labels(self._alert.condition):
            case.checks.append(self._all_labels(row, fires))
        for place, level in enumerate(levels):
            check(self._ceil(fires + level) - step, place)
            check(self._ceil(fires + level), place + 1)
        gone = end + self._ceil(self._alert.keep_firing_seconds)
        check(gone - step, len(levels))
        check(gone, None)
        return case

    def _constant_timeline(self) -> Case:
        fires = self._ceil(self._alert.duration_seconds)
        return Case("fires from the start", [], [(self._firing("alertname"), fires, [self._name_sample()])])

    def _present(self) -> Row:
        values: Values = {key_of(leaf): 1.0 for leaf in self._leaves}
        return Row({}, values, False)

    def _one_set_of_labels(self, condition: Condition) -> bool:
        """Whether the alert has the same labels, whichever part of an ``any`` holds."""
        if not isinstance(condition, Combined) or condition.kind == "n_of_m":
            return True
        if condition.kind == "all":
            return self._one_set_of_labels(condition.parts[0])
        labels = {self._made.known.labels[leaf.signal] for leaf in simple_conditions(condition)}
        return len(labels) == 1

    def _all_labels(self, row: Row, seconds: float) -> tuple[str, float, list[str]]:
        """Every label of the alert, as routes and dashboards see them."""
        rule = self._one.rules[0]
        labels = {"alertname": self._alert.name, "alertstate": "firing", **rule.labels}
        names = self._one.expression.labels
        own = self._signal_labels(self._alert.signals[0], row.labels)
        labels |= {name: own[name] for name in names if name in own}
        expression = f'ALERTS{{alertname="{self._alert.name}",rule_id="{self._alert.rule_id}",escalation_level=""}}'
        return expression, seconds, [_selector("ALERTS", labels)]

    def _flap(self, row: Row) -> Case:
        """A pause of up to ten minutes keeps the clock of the escalation."""
        step, alert, levels = self._interval, self._alert, self._levels()
        fires = self._ceil(alert.duration_seconds)
        resolved_after = 180.0  # it fires for three minutes, then pauses for nine
        off = fires + resolved_after
        # since 3.0 a window does not hold the sample at its very beginning
        back = off + self._ceil(alert.keep_firing_seconds) + min(540.0, CARRIED_SECONDS - 2 * step)
        again = back + self._ceil(alert.duration_seconds)
        until = max(again, fires + levels[0]) + 10 * step
        case = Case("a flap keeps the clock of the escalation")
        on_steps, off_steps, back_steps = (round(n / step) for n in (off, back - off, until - back + 10 * step))
        for series, values in self._series([row], ""):
            if values.startswith("0+"):
                case.series.append((series, values))
            else:
                case.series.append((series, f"{values}x{on_steps - 1} stale _x{off_steps - 1} {values}x{back_steps}"))
        if not case.series:
            for series, values in self._series([self._present()], ""):
                text = f"_x{on_steps} {values}x{off_steps - 1} stale _x{back_steps}"
                case.series.append((series, text))
        label = self._row_label or "alertname"
        sample = f'{{{label}="{row.labels.get(label, alert.name)}"}}'
        by = (label, "escalation_level")
        due = [fires + level for level in levels]

        def at(seconds: float) -> None:
            count = sum(self._ceil(moment) <= seconds for moment in due)
            samples = [_level(sample, place) for place in range(count + 1)]
            case.checks.append((self._firing(*by, level=None), seconds, samples))

        case.checks.append((self._firing(*by, level=None), back - step, []))
        at(again)
        at(max(again, self._ceil(due[0])))
        return case


def _none(row: Row) -> set[Key]:
    return {key for key, value in row.values.items() if value is None}


def _selector(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}"


def _level(sample: str, place: int) -> str:
    return sample if place == 0 else f'{sample[:-1]},escalation_level="{place}"}}'


def _in_words(row: Row) -> str:
    parts = [f"{name} {'absent' if value is None else number(value)}" for (_, name), value in row.values.items()]
    return ", ".join(parts)
