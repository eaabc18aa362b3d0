"""Quality of what the pipelines produce: gates, tests, scans; growth of counters within a period."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from jelmon import catalogue as c
from jelmon.catalogue import Counter
from jelmon.events import TestOutcome
from jelmon_board.model.samples import Key, Samples

COUNTERS: tuple[Counter, ...] = (
    *(c.GATE_EVALUATIONS, c.TESTS_FINISHED, c.TEST_FAILURES, c.SCANS_FINISHED, c.SCAN_FINDINGS, c.STAGE_RETRIES),
)
Growth = Mapping[str, Mapping[Key, float]]
"""Growth of counters by the name of the counter."""
_GOOD_TESTS = (TestOutcome.PASSED.value, TestOutcome.SKIPPED.value)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its names, the number of each outcome, and the share that is bad."""

    names: tuple[str, ...]
    counts: Mapping[str, float]
    total: float
    bad: float

    @property
    def ratio(self) -> float:
        return self.bad / self.total if self.total else 0.0


def growth(samples: Samples, earlier: Mapping[str, Mapping[Key, float]]) -> Growth:
    """Return by how much each counter grew; a counter that was not there, or fell, counts as a whole."""
    found: dict[str, dict[Key, float]] = {}
    for counter in COUNTERS:
        then = earlier.get(counter.name, {})
        own: dict[Key, float] = {}
        for key, value in samples.by(counter, *counter.labels).items():
            before = then.get(key, 0.0)
            own[key] = value - before if value >= before else value
        found[counter.name] = own
    return found


def rows(values: Mapping[Key, float], bad: tuple[str, ...]) -> list[Row]:
    """Return a row for all labels but the last, whose values become columns; rows with most bad ones first."""
    grouped: dict[Key, dict[str, float]] = defaultdict(dict)
    for (*names, outcome), value in values.items():
        grouped[tuple(names)][outcome] = value
    found = [
        Row(names, counts, sum(counts.values()), sum(counts.get(name, 0.0) for name in bad))
        for names, counts in grouped.items()
    ]
    return sorted((row for row in found if row.total), key=lambda row: (-row.ratio, -row.bad, row.names))


def gates(grown: Growth) -> list[Row]:
    """Return pipeline and gate with verdicts."""
    return rows(grown[c.GATE_EVALUATIONS.name], ("failed",))


def tests(grown: Growth) -> list[Row]:
    """Return pipeline and category with outcomes."""
    return rows(grown[c.TESTS_FINISHED.name], tuple(o.value for o in TestOutcome if o.value not in _GOOD_TESTS))


def failures(grown: Growth) -> list[tuple[tuple[str, ...], float]]:
    """Return pipeline, category and reason of failed tests, the most frequent first."""
    found = [(key, value) for key, value in grown[c.TEST_FAILURES.name].items() if value >= 0.5]
    return sorted(found, key=lambda row: (-row[1], row[0]))


def scans(grown: Growth) -> list[Row]:
    """Return pipeline and scanner with outcomes."""
    return rows(grown[c.SCANS_FINISHED.name], ("failure", "error", "timeout"))


def findings(grown: Growth) -> list[Row]:
    """Return pipeline and scanner with severities."""
    return rows(grown[c.SCAN_FINDINGS.name], ("critical", "high"))
