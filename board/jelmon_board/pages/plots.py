"""Charts of a page: lines are read at the same time, and one that cannot be read says why."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jelmon import catalogue as c
from jelmon.errors import JelmonError
from jelmon_board.charts.line_chart import line_chart
from jelmon_board.collection import Collector
from jelmon_board.model.lines import History, Line, Span
from jelmon_board.model.pipelines import limits_of
from jelmon_board.model.samples import Key


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart with its caption; ``problem`` says why there is none."""

    line: Line
    span: Span
    chart: Markup
    latest: float | None = None
    problem: str = ""


Wish = tuple[Line, Span]


async def histories(
    collector: Collector, wishes: Iterable[Wish], pipelines: Sequence[str]
) -> dict[Wish, History | str]:
    """Return the values of lines; for each that cannot be read, the problem."""
    wishes = list(wishes)

    async def read(line: Line, span: Span) -> History | str:
        try:
            return await collector.lines.history(line, span, tuple(pipelines))
        except JelmonError as error:
            return error.message

    answers = await asyncio.gather(*(read(line, span) for line, span in wishes))
    return dict(zip(wishes, answers, strict=True))


def plot(collector: Collector, wish: Wish, history: History | str, key: Key) -> Plot:
    """Return the chart of one series with thresholds and normal range."""
    line, span = wish
    if isinstance(history, str):
        return Plot(line, span, Markup(""), problem=history)
    snapshot = collector.snapshot
    values = history.of(*key)
    chart = line_chart(
        values,
        title=f"{line.title}, {span.title}",
        unit=line.unit,
        start=history.start,
        step=history.step,
        thresholds=limits_of(snapshot.compared, line, snapshot.samples, key[0]),
        band=_normal_range(collector, line, key),
    )
    latest = next((value for value in reversed(values) if value == value), None)
    return Plot(line, span, chart, latest=latest)


def _normal_range(collector: Collector, line: Line, key: Key) -> tuple[float, float] | None:
    if not line.regression:
        return None
    labels = {"signal": line.regression, "pipeline": key[0], "stage": key[1] if len(key) > 1 else ""}
    samples = collector.snapshot.samples
    low, high = (
        samples.value(c.REGRESSION_BASELINE_LOWER, **labels),
        samples.value(c.REGRESSION_BASELINE_UPPER, **labels),
    )
    if low is None or high is None or high <= low:
        return None
    return max(0.0, low), high
