"""Measured results of applied suggestions."""

import pytest

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.service.registry import Instruments
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.suggestions.results import KEPT_SECONDS, Measured, Results


@pytest.mark.parametrize(
    ("after", "result"), [(80.0, "better"), (103.0, "same"), (97.0, "same"), (120.0, "worse")], ids=str
)
def test_a_result_is_better_or_worse_only_above_5_percent(after: float, result: str) -> None:
    """Changes of up to 5 % count as none."""
    assert Measured("a", "demo", "add_worker", 0.0, 100.0, after).result == result


def test_results_of_the_last_month_are_exported_each_once() -> None:
    """Two that helped, one that did not; the oldest is out of date."""
    instruments = Instruments(Service.ANALYZER)
    exports, results = Exports(instruments), Results()
    for number, after in enumerate((80.0, 60.0, 130.0, 10.0)):
        one = Measured(f"{number}", "demo", "add_worker", 1000.0 if number < 3 else 10.0, 100.0, after)
        results.add([one, one])
    results.export(exports, 500.0 + KEPT_SECONDS)

    assert instruments.values(c.SUGGESTIONS_APPLIED) == {
        ("demo", "add_worker", "better"): 2,
        ("demo", "add_worker", "same"): 0,
        ("demo", "add_worker", "worse"): 1,
    }
    assert instruments.values(c.SUGGESTIONS_SAVED) == {("demo", "add_worker"): pytest.approx(10)}
