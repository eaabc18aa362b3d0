"""Drivers of slow cards as findings."""

from tests.analyzers.suggestions.conftest import open_suggestions

from jelmon_analyzers.attribution import Attribution, Driver
from jelmon_analyzers.suggestions import drivers


def test_certain_drivers_of_slow_cards_become_suggestions() -> None:
    """A driver that may have no effect is left out; a pipeline without drivers has no findings."""
    found = {
        "demo": Attribution(
            (
                Driver("deploy wait", 0.66, 0.55, 0.8),
                Driver("unit tests", 0.35, 0.2, 0.5),
                Driver("host cpu", 0.4, 0.02, 0.9),
                Driver("retries", 0.12, 0.11, 0.2),
            ),
            0.9,
        ),
        "other": Attribution((), 0.1, "the model explains too little"),
    }

    assert [(one.stage, one.cause, one.about) for one in drivers.findings(found)] == [
        ("deploy", "wait", "deploy wait"),
        ("", "tests", "unit tests"),
        ("", "retries", "retries"),
    ]
    assert [(one.strategy, one.stage) for one in open_suggestions().update(drivers.findings(found), 0)] == [
        ("shorten_wait", "deploy"),
        ("split_tests", ""),
    ]
