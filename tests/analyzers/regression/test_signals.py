"""The signals that the regression analyzer monitors."""

import asyncio
import re
from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon.events import Outcome, TestOutcome
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.regression.signals import DEFAULTS, Signal, load

NOW = 1_700_438_400.0 + 9 * 86400


def test_alerts_ask_for_signals_that_are_watched(root: Path) -> None:
    """A rule over a verdict that nobody gives would never fire."""
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


def test_signals_are_read_with_all_their_faults(tmp_path: Path) -> None:
    """Every mistake of the file at once; a correct file gives its signals."""
    good = tmp_path / "signals.yaml"
    good.write_text(
        "signals:\n  errors: {expr: errors_total, worse: up, counter: true, threshold: 5, time_zone: Asia/Tokyo}\n"
    )
    assert load(good) == (
        Signal(name="errors", expr="errors_total", counter=True, threshold=5.0, time_zone="Asia/Tokyo"),
    )

    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "signals:\n  a: {expr: x, worse: sideways}\n  b: {colour: red}\n  c: {expr: x, time_zone: Mars/Base}\n"
    )
    with pytest.raises(DefinitionError) as caught:
        load(bad)
    assert len(caught.value.problems) >= 4
    assert "no time zone 'Mars/Base'" in str(caught.value)


def test_the_default_signals_are_accepted(prometheus: str) -> None:
    """Each is PromQL that a real Prometheus takes."""

    async def ask() -> None:
        async with PrometheusHistory(prometheus) as history:
            for signal in DEFAULTS:
                assert await history.read(signal.expr, start=NOW, count=1, step=60) == {}

    asyncio.run(ask())
