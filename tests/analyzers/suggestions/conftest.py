"""Findings, events and strategies for the tests of suggestions."""

from datetime import UTC, datetime

from jelmon.events import (
    ActionFinished,
    ActionFinishedData,
    Outcome,
    PipelineDeclared,
    PipelineDeclaredData,
    StageDeclaration,
    make,
)
from jelmon_analyzers.suggestions.open_suggestions import OpenSuggestions
from jelmon_analyzers.suggestions.strategies import Finding, load


def open_suggestions() -> OpenSuggestions:
    return OpenSuggestions(
        load(), gain=lambda *_: 7.5, flow_time=lambda _, now: 100.0 - now / 100, measure_after_seconds=900
    )


def action_finished(action: str, time: float, outcome: Outcome = Outcome.SUCCESS) -> ActionFinished:
    data = ActionFinishedData(action=action, outcome=outcome, pipeline="demo")
    return make(ActionFinished, data, source="/t", subject="a", time=datetime.fromtimestamp(time, UTC))


def declared(workers: int, time: float) -> PipelineDeclared:
    stages = (StageDeclaration(stage="deploy", workers=workers),)
    data = PipelineDeclaredData(pipeline="demo", stages=stages)
    return make(PipelineDeclared, data, source="/t", time=datetime.fromtimestamp(time, UTC))


REGRESSIONS = [
    Finding(
        kind="regression", pipeline="demo", state="early_warning", about="cards_per_hour", figures={"change": -0.3}
    ),
    Finding(
        kind="regression",
        pipeline="demo",
        stage="deploy",
        state="severe",
        about="stage_run_seconds",
        figures={"change": 0.8},
    ),
]


BOTTLENECK = Finding(
    kind="bottleneck",
    pipeline="demo",
    stage="deploy",
    state="growing",
    cause="utilisation",
    figures={"severity": 88.0, "utilisation": 0.97, "waiting": 12, "workers": 2, "cascade": 60.0},
    has_queue_limit=True,
)
