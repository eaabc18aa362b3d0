"""The signals that the regression analyzer watches by itself."""

import re
from pathlib import Path

from jelmon.events import Outcome, TestOutcome
from jelmon_analyzers.regression.signals import DEFAULTS


def test_alerts_ask_for_signals_that_are_watched(root: Path) -> None:
    """A rule over a verdict that nobody gives would be silent for ever."""
    rules = "".join(path.read_text() for path in sorted((root / "deploy/prometheus/rules").glob("*.yml")))
    asked = set(re.findall(r'jelmore_regression_\w+{signal="(\w+)"}', rules))

    assert asked
    assert asked <= {signal.name for signal in DEFAULTS}


def test_outcomes_that_count_as_good_are_outcomes() -> None:
    known = {*Outcome, *TestOutcome}
    named = {
        value
        for signal in DEFAULTS
        for values in re.findall(r'outcome!~"([^"]+)"', signal.expr)
        for value in values.split("|")
    }

    assert named
    assert named <= known
