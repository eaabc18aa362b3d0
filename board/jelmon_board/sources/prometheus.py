"""The Prometheus HTTP API: lines, current samples, and rules."""

import math
import time
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

import msgspec

from jelmon.errors import SourceError
from jelmon_board.model.lines import History, Line, Span
from jelmon_board.model.rules import AlertRule, RuleAlert
from jelmon_board.model.samples import Key, Samples
from jelmon_board.sources.fetch import Fetcher

_REMEMBERED = 400
_FRESH_SECONDS = 10.0


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] = (0.0, "NaN")
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)


class _Alert(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    state: str = ""
    active_at: datetime | None = None


class _Rule(msgspec.Struct, rename="camel"):
    type: str
    name: str
    query: str = ""
    duration: float = 0.0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    alerts: list[_Alert] = []
    state: str = ""
    health: str = ""
    last_error: str = ""


class _Group(msgspec.Struct):
    name: str
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _RulesAnswer(msgspec.Struct):
    status: str
    data: _Groups


class Prometheus:
    """One Prometheus, or another server with its API."""

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        self.url = url
        self._fetcher = fetcher
        self._remembered: OrderedDict[tuple[str, Span, tuple[str, ...]], tuple[float, History]] = OrderedDict()

    async def latest(self, line: Line) -> dict[Key, float]:
        """Return the latest value of each series of a line."""
        result = await self._query("query", query=line.promql(window=line.window))
        found = {_key(series, line): _number(series.value[1]) for series in result}
        return {key: value for key, value in found.items() if value == value}

    async def history(self, line: Line, span: Span, pipelines: tuple[str, ...] = ()) -> History:
        """Return the values within the span; the same ones for some seconds."""
        name = (line.key, span, pipelines)
        known = self._remembered.get(name)
        if known is not None and time.monotonic() - known[0] < _FRESH_SECONDS:
            return known[1]
        count = int(span.seconds // span.step) + 1
        end = time.time() // span.step * span.step
        start = end - (count - 1) * span.step
        expression = line.promql(window=span.window, step=span.step, pipelines=pipelines)
        result = await self._query(
            "query_range", query=expression, start=f"{start:.3f}", end=f"{end:.3f}", step=f"{span.step:.3f}"
        )
        values: dict[Key, list[float]] = {}
        for series in result:
            row = values.setdefault(_key(series, line), [float("nan")] * count)
            for moment, text in series.values:
                place = round((moment - start) / span.step)
                if 0 <= place < count:
                    row[place] = _number(text)
        history = History(start=start, step=span.step, values=values)
        self._remembered[name] = (time.monotonic(), history)
        self._remembered.move_to_end(name)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return history

    async def samples(self, wanted: Iterable[str]) -> Samples:
        """Return the current samples of the named series."""
        samples = Samples()
        for series in await self._query("query", query=f'{{__name__=~"{"|".join(sorted(wanted))}"}}'):
            samples.add(series.metric.get("__name__", ""), series.metric, _number(series.value[1]))
        return samples

    async def values(self, expression: str, **at: str) -> list[tuple[dict[str, str], float]]:
        """Return the result of an instant query."""
        result = await self._query("query", query=expression, **at)
        return [(series.metric, value) for series in result if (value := _number(series.value[1])) == value]

    async def rules(self) -> list[AlertRule]:
        """Return every alerting rule with its alerts."""
        answer = await self._fetcher.get(f"{self.url}/api/v1/rules?type=alert", _RulesAnswer)
        return [
            AlertRule(
                name=rule.name,
                query=rule.query,
                seconds=rule.duration,
                labels=rule.labels,
                annotations=rule.annotations,
                state=rule.state,
                error=rule.last_error if rule.health == "err" else "",
                alerts=tuple(
                    RuleAlert(
                        labels=alert.labels,
                        annotations=alert.annotations,
                        state=alert.state,
                        since=alert.active_at.timestamp() if alert.active_at else 0.0,
                    )
                    for alert in rule.alerts
                ),
            )
            for group in answer.data.groups
            for rule in group.rules
            if rule.type == "alerting"
        ]

    async def _query(self, path: str, **data: str) -> list[_Series]:
        answer = await self._fetcher.post(f"{self.url}/api/v1/{path}", _Answer, data=data)
        if answer.status != "success":
            raise SourceError(f"Prometheus refused the query {data['query']}")
        return answer.data.result


def _number(text: str) -> float:
    """Return a finite value; NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _key(series: _Series, line: Line) -> Key:
    return tuple(series.metric.get(label, "") for label in line.labels)
