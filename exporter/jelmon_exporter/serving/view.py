"""What is exposed: the committed series of all partitions, merged. Each series is rendered once until it changes.

Every replica exposes the same, whichever partitions it owns: values get here only after a commit, or from the store.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from jelmon import catalogue as c
from jelmon_exporter.series.cells import Exemplar, Key, Value, real
from jelmon_exporter.state.model import Declaration

Part = int | str
"""A partition, or a name for what this process contributes."""


def _total(values: Iterable[Value]) -> Value:
    total: float = 0
    for value in values:
        total += value  # type: ignore[operator]
    return total


def _largest(values: Iterable[Value]) -> Value:
    return max(values)  # type: ignore[type-var]


def _smallest(values: Iterable[Value]) -> Value:
    return min(values)  # type: ignore[type-var]


def _merged_histogram(values: Iterable[Value]) -> Value:
    totals, counts = zip(*values, strict=True)  # pairs, all of them
    return sum(totals), tuple(map(sum, zip(*counts, strict=True)))


# every partition sees a change of the stream, so the largest count is the number of changes
_MERGE: dict[str, Callable[[Iterable[Value]], Value]] = {
    c.LAST_ACTIVITY.name: _largest,
    c.STREAM_CHANGES.name: _largest,
    c.STAGE_OLDEST_WAITING.name: _smallest,
    c.STAGE_OLDEST_RUNNING.name: _smallest,
}
"""How values of several partitions are merged where their sum would be wrong."""


HOLD_SECONDS = 60.0
"""How long the last value stays exposed when a lower one arrives."""


@dataclass(slots=True)
class ExposedSeries:
    """One exposed series: the contribution of each part, and the rendered lines."""

    metric: c.Metric
    labels: tuple[str, ...]
    parts: dict[Part, Value]
    pattern: str | None = None  # the lines with %s for each value, set by the renderer
    text: str | None = None
    exemplars: dict[int, Exemplar] = field(default_factory=dict)  # by bucket
    openmetrics: str | None = None  # the lines with exemplars, if there are any


class Family(dict[tuple[str, ...], ExposedSeries]):
    """The series of one metric by label values, and the text of all of them until one changes."""

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None
        self.openmetrics: str | None = None

    def changed(self, exposed: ExposedSeries | None = None) -> None:
        """Discard rendered text: a series changed, or was removed."""
        self.text = self.openmetrics = None
        if exposed is not None:
            exposed.text = exposed.openmetrics = None


class View:
    """The series of one exporter, ready to be exposed."""

    def __init__(
        self,
        partitions: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        """Create an empty view. Partitions are exposed once all are known: a partial sum would look like a reset.

        ``on_reset`` is called when a counter of a partition really has to decrease.
        """
        self._clock = clock
        self._on_reset = on_reset
        self._lower: dict[Part, dict[Key, Value]] = {}  # values below the exposed ones, not exposed yet
        self._lower_since: dict[Part, float] = {}
        self._awaited = set(range(partitions))
        self._held_back: dict[Part, dict[Key, Value]] = {}
        self.families = {metric.name: Family() for metric in c.of_service(c.Service.EXPORTER)}
        self._declared: dict[str, dict[Part, Declaration]] = {}

    def update(self, part: Part, series: Mapping[Key, Value], *, known: bool = True) -> None:
        """Set committed values of a part; None removes the part's contribution.

        While a partition is not ``known`` (it recounts what an earlier process had counted), nothing is exposed.

        A counter lower than before is not exposed: after a store fell back, counting soon catches up. See
        `accept_decreases`.
        """
        if self._awaited and isinstance(part, int):
            self._held_back.setdefault(part, {}).update(series)
            if known:
                self._awaited.discard(part)
            if not self._awaited:
                held_back, self._held_back = self._held_back, {}
                for partition, values in held_back.items():
                    self.update(partition, values)
            return
        families = self.families
        risen = set(series) if part in self._lower else set()
        for (name, labels), value in series.items():
            family = families.get(name)
            if family is None:  # a metric of another version of this program
                continue
            exposed = family.get(labels)
            if exposed is None:
                if value is None:
                    continue
                exposed = family[labels] = ExposedSeries(c.BY_NAME[name], labels, {})
            if value is None:
                exposed.parts.pop(part, None)
                if not exposed.parts:
                    del family[labels]
            elif _fell(exposed, part, value):
                self._hold(part, (name, labels), value)
                risen.discard((name, labels))
                continue
            else:
                exposed.parts[part] = value
            family.changed(exposed)
        if part in self._lower:
            self._release(part, risen)

    def exemplify(self, exemplars: Mapping[Key, Mapping[int, Exemplar]]) -> None:
        """Set exemplars; the newest of each bucket is exposed where the format allows it."""
        for (name, labels), by_bucket in exemplars.items():
            exposed = self.families[name].get(labels)
            if exposed is not None:
                exposed.exemplars.update(by_bucket)
                self.families[name].changed(exposed)

    def replace(self, part: Part, series: Mapping[Key, Value], *, known: bool = True) -> None:
        """Set everything that a part contributes; anything else of it is removed, counters as in `update`."""
        gone: dict[Key, Value] = {}
        for name, family in self.families.items():
            for labels, exposed in family.items():
                if part in exposed.parts and (name, labels) not in series:
                    if isinstance(exposed.metric, c.Gauge):
                        gone[name, labels] = None
                    else:
                        self._hold(part, (name, labels), None)
        self.update(part, {**gone, **series}, known=known)

    def _hold(self, part: Part, key: Key, value: Value) -> None:
        self._lower.setdefault(part, {})[key] = value
        self._lower_since.setdefault(part, self._clock())

    def _release(self, part: Part, risen: Iterable[Key]) -> None:
        """Stop holding back values that rose again."""
        lower = self._lower[part]
        for key in risen:
            lower.pop(key, None)
        if not lower:
            del self._lower[part], self._lower_since[part]

    def accept_decreases(self) -> None:
        """Expose, and count as reset, what did not rise again within `HOLD_SECONDS`."""
        for part, since in list(self._lower_since.items()):
            if self._clock() >= since + HOLD_SECONDS:
                lower = self._lower.pop(part)
                del self._lower_since[part]
                for (name, labels), value in lower.items():
                    exposed = self.families[name].get(labels)
                    if exposed is not None:
                        exposed.parts.pop(part, None)
                        self.families[name].changed(exposed)
                        if value is not None:
                            exposed.parts[part] = value
                        elif not exposed.parts:
                            del self.families[name][labels]
                self._on_reset()

    def contribution(self, part: Part) -> dict[Key, Value]:
        """Return what a part contributes now."""
        return {
            (name, labels): exposed.parts[part]
            for name, family in self.families.items()
            for labels, exposed in family.items()
            if part in exposed.parts
        }

    @property
    def complete(self) -> bool:
        """Whether values of all partitions are known."""
        return not self._awaited

    def merged(self, exposed: ExposedSeries) -> Value:
        """Return the value of a series over all parts."""
        if len(exposed.parts) == 1:
            (value,) = exposed.parts.values()
            return value
        if isinstance(exposed.metric, c.Histogram):
            return _merged_histogram(exposed.parts.values())
        return _MERGE.get(exposed.metric.name, _total)(exposed.parts.values())

    def value(self, metric: c.Metric, *labels: str) -> Value:
        """Return the exposed value of one series, None if it is absent."""
        exposed = self.families[metric.name].get(labels)
        return None if exposed is None else self.merged(exposed)

    def declare(self, part: Part, declared: Mapping[str, Declaration]) -> None:
        """Set declarations of pipelines. The newest of a pipeline determines its gauges."""
        for pipeline, declaration in declared.items():
            before = self._newest(pipeline)
            self._declared.setdefault(pipeline, {})[part] = declaration
            after = self._newest(pipeline)
            if after is not before:
                gone: dict[Key, Value] = dict.fromkeys(_gauges(pipeline, before)) if before else {}
                self.update("declared", gone | (_gauges(pipeline, after) if after else {}))

    def redeclare(self, part: Part, declared: Mapping[str, Declaration]) -> None:
        """Set everything that a part declares; other declarations of it are removed."""
        for pipeline, parts in self._declared.items():
            if part in parts and pipeline not in declared:
                gone = dict.fromkeys(_gauges(pipeline, parts[part])) if self._newest(pipeline) is parts[part] else {}
                del parts[part]
                left = self._newest(pipeline)
                self.update("declared", gone | (_gauges(pipeline, left) if left else {}))
        self.declare(part, declared)

    def _newest(self, pipeline: str) -> Declaration | None:
        return max(self._declared.get(pipeline, {}).values(), key=lambda declaration: declaration.time, default=None)


def _fell(exposed: ExposedSeries, part: Part, value: Value) -> bool:
    """Return whether a counter or histogram of a part would decrease."""
    before = exposed.parts.get(part)
    if before is None or isinstance(exposed.metric, c.Gauge):
        return False
    if isinstance(before, tuple):
        return not isinstance(value, tuple) or sum(value[1]) < sum(before[1])
    return value is None or value < before  # type: ignore[operator]


def _gauges(pipeline: str, declaration: Declaration) -> dict[Key, Value]:
    """Return the gauges that a declaration sets; fields that it does not have are absent."""
    data, pipeline = declaration.data, real(pipeline)
    gauges: dict[Key, Value] = {
        (c.STALL_LIMIT.name, (pipeline,)): data.stall_limit_seconds,
        (c.CARD_TARGET.name, (pipeline,)): data.card_target_seconds,
    }
    for position, stage in enumerate(data.stages, start=1):
        labels = (pipeline, real(stage.stage))
        gauges[c.STAGE_POSITION.name, labels] = position
        gauges[c.STAGE_WORKERS.name, labels] = stage.workers
        gauges[c.STAGE_QUEUE_CAPACITY.name, labels] = stage.queue_capacity
        gauges[c.STAGE_TIME_LIMIT.name, labels] = stage.time_limit_seconds
    return gauges
