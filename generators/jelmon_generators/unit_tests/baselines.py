"""Unit tests of what a regression records about its signal: clean samples, baseline, deviation, MAD and median.

Everything is asked for at one evaluation, and fed by its recorded name. What has to be in a window is in its older
half; a sample too few, one that is too new and one that is too old tell the window and the least number of samples.
"""

import re
from collections.abc import Iterator

from jelmon_generators.compile.rules import Group
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.conditions.regression import LAG_SECONDS, Regression
from jelmon_generators.model.known import Known
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.promql.expressions import number
from jelmon_generators.unit_tests.promtool import file_text

TESTS_FOLDER = "rules/tests/baselines"
_PRECISION = 0.0001
_RECENT_SECONDS = 300.0  # over which the current median is taken
_EXCEPTION = re.compile(r'unless on \(([^()]*)\)\n  ALERTS\{alertname=~?"([^"]*)"')

Labels = dict[str, str]


def render(made: Compilation) -> dict[str, str]:
    """Return one test file for each signal that a regression is about."""
    groups = {signal: group for group in made.groups for signal in group.signals}
    files: dict[str, str] = {}
    for compiled in made.compiled:
        for leaf in compiled.alert.condition.leaves:
            path = f"{TESTS_FOLDER}/{leaf.signal}.yml"
            group = groups[compiled.alert.signals[0]]
            if isinstance(leaf, Regression) and path not in files:  # the first one decides what is recorded
                recorded = _Recorded(leaf, compiled.known, group)
                if recorded.row_label:
                    cases = [recorded.history(), recorded.current(), *recorded.clean()]
                    at = recorded.moment
                    files[path] = file_text(compiled.alert.source, cases, group, evaluation_seconds=at)
    return files


class _Recorded:
    """The recordings about one signal."""

    def __init__(self, leaf: Regression, known: Known, group: Group) -> None:
        self._record = known.records[leaf.signal]
        self._least = leaf.minimum_samples
        self._window = leaf.window_seconds
        self._interval = group.interval_seconds
        self._names = known.labels[leaf.signal]
        self._rules = group.rules
        between = max(1.0, self._window / 2 // (self._least + 6))  # so that enough samples are in the older half
        self._between = between // self._interval * self._interval or between
        span = self._between * self._interval  # divided by both
        self.moment = -(-(self._window + LAG_SECONDS + 4 * self._between) // span) * span

    @property
    def row_label(self) -> str:
        """The label that distinguishes rows; empty: there is none."""
        others = sorted(self._names - {"job", "instance"})
        return "pipeline" if "pipeline" in others else next(iter(others), "")

    def history(self) -> Case:
        """Return the case of baseline and MAD."""
        case = Case("a baseline needs enough clean samples of its window", sample_seconds=self._between)
        last = round(self.moment / self._between)
        first = last - int((LAG_SECONDS + self._window) // self._between) + 1  # the oldest in the window
        ramp, short = f"1+1x{self._least - 1}", f"1+1x{self._least - 2}" if self._least > 1 else "_"
        newest = last - first - self._least + 1
        rows = {
            "enough": f"_x{first} {ramp}",
            "too-few": f"_x{first} {short}",
            "too-new": f"_x{first} {short} _x{newest} {number(self._least * 1000)}",
            "too-old": f"_x{first - 3} 1 _x2 {short}",
        }
        for row, values in rows.items():
            case.series.append((self._series("clean", row), values))
        case.series.append((self._series("deviation", "spread"), f"_x{first} {ramp} _x{newest - 1} 1000000"))
        middle = (self._least + 1) / 2
        case.checks = [
            (self._equals("baseline", middle), self.moment, self._samples("enough")),
            (f"group by ({self.row_label}) ({self._record}:baseline)", self.moment, self._samples("enough")),
            (self._equals("mad", middle), self.moment, self._samples("spread")),
        ]
        return case

    def current(self) -> Case:
        """Return the case of deviation and current median."""
        case = Case("the deviation and the median of the last minutes", sample_seconds=self._interval)
        last = round(self.moment / self._interval)
        recent = round(_RECENT_SECONDS / self._interval)
        for row, value in (("above", 70), ("below", 30)):
            case.series.append((self._series("clean", row), f"_x{last} {value}"))
            case.series.append((self._series("baseline", row), f"_x{last} 50"))
        # as many as are in the window in every version of Prometheus: 3.0 leaves out its very beginning
        case.series.append((self._series("", "recent"), f"_x{last - recent + 1} 1+1x{recent - 1}"))
        case.checks = [
            (self._equals("deviation", 20), self.moment, self._samples("above", "below")),
            (self._equals("median5m", (recent + 1) / 2), self.moment, self._samples("recent")),
        ]
        return case

    def clean(self) -> Iterator[Case]:
        """Yield the case of clean samples: none of what an alert is pending or firing for."""
        rule = next(rule for rule in self._rules if getattr(rule, "record", "") == f"{self._record}:clean")
        case = Case("samples during an alert are not clean", sample_seconds=self._interval)
        place = f"_x{round(self.moment / self._interval)}"
        clean = ["calm"]
        case.series.append((self._series("", "calm"), f"{place} 1"))
        for keys, names in _EXCEPTION.findall(rule.expr):
            labels = keys.split(", ")
            for name in names.split("|"):
                rows: dict[str, Labels] = {
                    f"{name}-pending": {"alertstate": "pending"},
                    f"{name}-firing": {"alertstate": "firing"},
                    f"{name}-level": {"alertstate": "firing", "escalation_level": "1"},
                    f"{name}-inactive": {"alertstate": "inactive"},
                    f"{name}-other": {"alertstate": "firing", "alertname": f"{name}Too"},
                }
                rows |= {f"{name}-{label}": {"alertstate": "firing", label: "another"} for label in labels}
                for row, changed in rows.items():
                    case.series.append((self._series("", row), f"{place} 1"))
                    own = {label: self._labels(row)[label] for label in labels}
                    case.series.append((selector("ALERTS", {"alertname": name, **own, **changed}), f"{place} 1"))
                clean += [row for row in rows if row not in (f"{name}-pending", f"{name}-firing")]
        every = f"group by ({self.row_label}) ({self._record}:clean)"
        samples = self._samples(*clean)
        case.checks = [(every, self.moment, samples), (self._equals("clean", 1), self.moment, samples)]
        yield case

    def _labels(self, row: str) -> Labels:
        return {name: row if name == self.row_label else f"a-{name}" for name in self._names}

    def _series(self, suffix: str, row: str) -> str:
        return selector(f"{self._record}:{suffix}" if suffix else self._record, self._labels(row))

    def _samples(self, *rows: str) -> list[str]:
        return [selector("", {self.row_label: row}) for row in rows]

    def _equals(self, suffix: str, value: float) -> str:
        return f"group by ({self.row_label}) (abs({self._record}:{suffix} - {number(value)}) < {number(_PRECISION)})"
