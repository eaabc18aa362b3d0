"""Stages without enough data have no severity."""

import numpy as np
from tests.analyzers.bottleneck.conftest import analyze, at, events_of, serve

from jelmon.catalogue import Service
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck import BottleneckAnalyzer, State
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges


def test_without_events_there_is_no_report() -> None:
    """Before the first event there are no stages."""
    analyzer = BottleneckAnalyzer()

    assert analyzer.severity(at(0)) == {}
    assert analyzer.impact(at(0)) == {}
    assert analyzer.bottleneck(at(0)) is None


def test_few_cards_give_no_severity() -> None:
    """Five cards, one behind the other: the stage is known, its severity is not there."""
    served = serve(np.array([0.0, 100, 101, 102, 400]), np.full(5, 60.0), 1)
    analyzer = analyze([event for event in events_of(served) if event.time <= at(600)])

    assert analyzer.severity(at(600)) == {}
    assert analyzer.report(at(600))["only"].reason == "too few cards"


def test_a_short_observation_gives_no_severity() -> None:
    """A third of the window must have been watched."""
    served = serve(np.arange(0, 120.0, 2), np.full(60, 4.0), 1)
    analyzer = analyze([event for event in events_of(served) if event.time <= at(100)])

    assert analyzer.report(at(100))["only"].reason == "watched too short"
    assert analyzer.severity(at(100)) == {}


def test_without_waiting_there_is_no_severity() -> None:
    """A hundred cards went through, one after the other. That costs no health."""
    served = serve(np.arange(0, 900.0, 9), np.full(100, 4.0), 1)
    analyzer = analyze([event for event in events_of(served) if event.time <= at(890)])
    watch = BottleneckGauges(Instruments(Service.ANALYZER), window_seconds=900)
    watch.analyzers["tested"] = analyzer

    assert analyzer.severity(at(890)) == {}
    assert analyzer.bottleneck(at(890)) is None
    assert analyzer.report(at(890))["only"].reason == "nothing waited"
    assert watch.severity("tested", at(890).timestamp()) == 0
    assert watch.severity("tested", at(9000).timestamp()) is None


def test_a_quiet_pipeline_is_idle_without_severity() -> None:
    """Nothing waits and nothing comes."""
    served = serve(np.arange(0, 600.0, 5), np.full(120, 4.0), 1)
    analyzer = analyze(list(events_of(served)))

    assert analyzer.severity(at(2000)) == {}
    assert analyzer.report(at(2000))["only"].state is State.IDLE
