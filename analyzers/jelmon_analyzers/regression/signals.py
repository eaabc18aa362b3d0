"""Monitored signals: a PromQL expression, the direction that is worse, and a threshold to forecast."""

from dataclasses import dataclass
from pathlib import Path

from jelmon.catalogue import (
    CARD_PROCESSING,
    CARD_WAIT,
    CARDS_FINISHED,
    STAGE_QUEUE_TIME,
    STAGE_RUN_TIME,
    TEST_TIME,
    TESTS_FINISHED,
    Histogram,
)
from jelmon.config import strict_yaml
from jelmon.config.strict_yaml import Fields
from jelmon.errors import DefinitionError, Problem
from jelmon.events import Outcome, TestOutcome
from jelmon_analyzers.timeseries.online.time_grid.zone import Zone

WORSE = ("up", "down", "both")
RANGE = "5m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """An expression whose series are monitored; of their labels only ``pipeline`` and ``stage`` are kept."""

    name: str
    expr: str
    worse: str = "up"
    counter: bool = False
    """Whether the expression is a raw counter, to be converted to a rate."""
    threshold: float | None = None
    time_zone: str | None = None
    """Zone of the time of day and weekends; None is the zone of the analyzer."""


def _mean(metric: Histogram, labels: str) -> str:
    # all replicas expose the same totals
    total, count = (
        f"sum by ({labels}) (max without (instance, pod) (rate({metric.name}_{part}[{RANGE}])))"
        for part in ("sum", "count")
    )
    return f"{total} / ({count} > 0)"


def _share(metric: str, good: tuple[str, ...]) -> str:
    def rate(selector: str) -> str:
        return f"sum by (pipeline) (max without (instance, pod) (rate({metric}{selector}[{RANGE}])))"

    bad = f'{{outcome!~"{"|".join(good)}"}}'
    return f"{rate(bad)} / ({rate('')} > 0)"


# alerts refer to these names; a signal that rules/signals.yaml also defines has the same name there
DEFAULTS = (
    Signal(name="avg_processing_time_seconds", expr=_mean(CARD_PROCESSING, "pipeline")),
    Signal(name="card_wait_seconds", expr=_mean(CARD_WAIT, "pipeline")),
    Signal(name="stage_run_seconds", expr=_mean(STAGE_RUN_TIME, "pipeline, stage")),
    Signal(name="stage_queue_seconds", expr=_mean(STAGE_QUEUE_TIME, "pipeline, stage")),
    Signal(name="test_seconds", expr=_mean(TEST_TIME, "pipeline")),
    Signal(name="card_failure_ratio", expr=_share(CARDS_FINISHED.name, (Outcome.SUCCESS, Outcome.SKIPPED))),
    Signal(name="test_failure_ratio", expr=_share(TESTS_FINISHED.name, (TestOutcome.PASSED, TestOutcome.SKIPPED))),
    Signal(
        name="cards_per_hour",
        expr=f"3600 * sum by (pipeline) (max without (instance, pod) (rate({CARDS_FINISHED.name}[{RANGE}])))",
        worse="down",
    ),
)


def _time_zone(fields: Fields) -> str | None:
    name = fields.text("time_zone", None)
    if name is not None:
        try:
            Zone(name)
        except ValueError as error:
            fields.at("time_zone").refuse(str(error))
    return name


def load(path: Path) -> tuple[Signal, ...]:
    """Read a YAML file with ``signals:``, a mapping of names to the fields of `Signal`.

    Raises:
        DefinitionError: the file has faults; all of them are in ``problems``.
    """
    problems: list[Problem] = []
    top = strict_yaml.read(path.parent, path.name, problems)
    signals = []
    if top is not None:
        for name, fields in top.entries("signals"):
            signals.append(
                Signal(
                    name=name,
                    expr=fields.text("expr"),
                    worse=fields.choice("worse", WORSE, "up"),
                    counter=fields.flag("counter", False),
                    threshold=fields.number("threshold", None),
                    time_zone=_time_zone(fields),
                )
            )
            fields.done(f"signal {name}")
        top.done("the signals of the regression analyzer")
        if not signals and not problems:
            problems.append(Problem(path.name, 0, "no signals", "define at least one under 'signals:'"))
    if problems:
        raise DefinitionError(problems)
    return tuple(signals)
