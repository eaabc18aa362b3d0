"""The shipped table of strategies is valid, and problems of other tables are reported with their line."""

from pathlib import Path

import pytest
from tests.analyzers.suggestions.conftest import BOTTLENECK

from jelmon.errors import DefinitionError
from jelmon_analyzers.suggestions.strategies import Finding, load


def test_a_busy_stage_gets_one_more_worker_with_the_reason() -> None:
    """The strategies that fit, and the advice of the first."""
    fitting = [strategy for strategy in load() if strategy.fits(BOTTLENECK)]

    assert [strategy.name for strategy in fitting] == ["add_worker", "speed_up", "more_room", "throttle"]
    assert (
        fitting[0].advise(BOTTLENECK) == "Add a worker to deploy: its 2 are busy 97% of the time while 12 cards wait."
    )


def test_each_strategy_fits_something_and_advises_it() -> None:
    """No row of the table is dead, and every advice can be written."""
    for strategy in load():
        finding = Finding(
            kind=strategy.kind,
            pipeline="p",
            stage="s",
            state=next(iter(strategy.states), "steady"),
            cause=next(iter(strategy.causes), "none"),
            about=next(iter(strategy.signals), ""),
            figures=dict(strategy.at_least),
            has_queue_limit=True,
        )

        assert strategy.fits(finding), strategy.name
        assert strategy.advise(finding)


def test_unknown_figures_fulfil_no_condition() -> None:
    """A finding without figures fits nothing that asks for some."""
    assert not [one for one in load() if one.fits(Finding(kind="bottleneck", pipeline="p")) and one.at_least]


def test_all_problems_of_a_table_are_reported_at_once(tmp_path: Path) -> None:
    """Each with its line and what to write instead."""
    path = tmp_path / "strategies.yaml"
    path.write_text(
        """strategies:
  one:
    of: botleneck
    when: {cause: [utilization], seveerity: 3}
    advice: "Look at {stagee}"
    expects: more_workers
    action: scale_upp
    extra: 1
"""
    )
    with pytest.raises(DefinitionError) as caught:
        load(path)
    told = str(caught.value)

    for part in (
        "strategies.yaml:3: of: unknown value 'botleneck'",
        "did you mean 'utilisation'?",
        "unknown field 'seveerity' in when",
        "did you mean 'severity'?",
        "advice: unknown word {stagee}",
        "expects: unknown value 'more_workers'",
        "action: unknown value 'scale_upp'",
        "unknown field 'extra' in a strategy",
        "7 problems found",
    ):
        assert part in told
