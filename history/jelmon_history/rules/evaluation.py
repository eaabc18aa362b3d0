"""Evaluates a level of rules over the past, piece by piece, into what Prometheus would have recorded."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jelmon_history.columns import NAME, Chunk, Columns, Floats, Labels, Recorder, labels_of
from jelmon_history.prometheus import Prometheus
from jelmon_history.rules.alert_states import ALERTS, SINCE, AlertStates
from jelmon_history.rules.rule_files import Rule
from jelmon_history.simulation import CHUNK_SECONDS

_STEPS_AT_ONCE = 2000
_AT_ONCE = 4


class Evaluation:
    """One level of rules. Alerts are kept only if they are about a pipeline: those about services, which did not run
    at the time, would say that everything was down.
    """

    def __init__(
        self, rules: Sequence[Rule], prometheus: Prometheus, *, step: float, labels: Mapping[str, str]
    ) -> None:
        self._rules = rules
        self._prometheus = prometheus
        self._step = step
        self._extra = labels
        self._columns = Columns()
        self._recorder = Recorder(self._columns)
        self._alerts = [
            AlertStates(for_seconds=rule.for_seconds, keep_firing_seconds=rule.keep_firing_seconds) for rule in rules
        ]

    def run(self, begin: float, end: float) -> Iterator[Chunk]:
        """Yield what the rules record between two times (seconds).

        Raises:
            SourceError: a query fails.
        """
        first, last = math.ceil(begin / self._step), math.floor(end / self._step)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(first, last + 1, _STEPS_AT_ONCE):
                count = min(_STEPS_AT_ONCE, last + 1 - start)

                def read(rule: Rule, start: int = start, count: int = count) -> dict[Labels, Floats]:
                    return self._prometheus.read(rule.expr, first=start, count=count, step=self._step)

                results = list(pool.map(read, self._rules))
                yield from self._record(start, count, results)
        if len(self._recorder):
            yield self._recorder.take()

    def _record(self, start: int, count: int, results: list[dict[Labels, Floats]]) -> Iterator[Chunk]:
        times = np.arange(start, start + count, dtype=np.float64) * self._step
        recorded: dict[int, Floats] = {}
        for rule, states, series in zip(self._rules, self._alerts, results, strict=True):
            if rule.alert:
                self._record_alerts(rule, states.states(times, _about_pipelines(series)), recorded)
                continue
            for labels, values in series.items():
                named = {**self._extra, **dict(labels), **rule.labels}
                named.pop(NAME, None)
                recorded[self._columns.column(labels_of(rule.name, named))] = values
        table = np.full((count, len(self._columns.labels)), np.nan)
        for column, values in recorded.items():
            table[:, column] = values
        for time, row in zip(times.tolist(), table, strict=True):
            self._recorder.append(time, row)
            if (time + self._step) // CHUNK_SECONDS != time // CHUNK_SECONDS:
                yield self._recorder.take()

    def _record_alerts(
        self, rule: Rule, states: Mapping[Labels, tuple[Floats, Floats, Floats]], recorded: dict[int, Floats]
    ) -> None:
        for labels, (pending, firing, since) in states.items():
            named = {**self._extra, **dict(labels), **rule.labels, "alertname": rule.name}
            named.pop(NAME, None)
            for name, more, values in (
                (ALERTS, {"alertstate": "pending"}, pending),
                (ALERTS, {"alertstate": "firing"}, firing),
                (SINCE, {}, since),
            ):
                if np.isfinite(values).any():
                    recorded[self._columns.column(labels_of(name, named | more))] = values


def _about_pipelines(series: Mapping[Labels, Floats]) -> dict[Labels, Floats]:
    return {labels: values for labels, values in series.items() if any(name == "pipeline" for name, _ in labels)}
