"""What is shown: the committed series of all partitions, merged, with each series' text rendered once until it changes.

Every replica shows the same, whoever owns which partition: values come here only after a commit, or from the store.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from jelmon import catalogue as c
from jelmon_exporter.series.cells import Exemplar, Key, Value, real
from jelmon_exporter.state.model import Declaration

Part = int | str
"""A partition, or a name for what this process itself contributes."""


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
"""How values of several partitions become one, where adding them up is wrong."""


HOLD_SECONDS = 60.0
"""How long the last value shown stays when a lower one arrives."""


@dataclass(slots=True)
class Shown:
    """One series: what each part contributes, and its lines once rendered."""

    metric: c.Metric
    labels: tuple[str, ...]
    parts: dict[Part, Value]
    pattern: str | None = None  # the lines with %s for each value, made by who renders
    text: str | None = None
    exemplars: dict[int, Exemplar] = field(default_factory=dict)  # by bucket
    openmetrics: str | None = None  # the lines with exemplars, if there are any


class Family(dict[tuple[str, ...], Shown]):
    """The series of one metric, by their label values, and the text of all of them until one changes."""

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None
        self.openmetrics: str | None = None

    def changed(self, shown: Shown | None = None) -> None:
        """Note that a series has to be rendered again, or that one is gone."""
        self.text = self.openmetrics = None
        if shown is not None:
            shown.text = shown.openmetrics = None


class View:
    """The series of one exporter, ready to be shown."""

    def __init__(
        self,
        partitions: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        """Partitions are shown once values of all ``partitions`` are known: half a sum would look like a reset.

        ``on_reset`` is called when a counter of a partition has to go down after all.
        """
        self._clock = clock
        self._on_reset = on_reset
        self._lower: dict[Part, dict[Key, Value]] = {}  # values below what was shown, not shown yet
        self._lower_since: dict[Part, float] = {}
        self._awaited = set(range(partitions))
        self._held_back: dict[Part, dict[Key, Value]] = {}
        self.families = {metric.name: Family() for metric in c.of_service(c.Service.EXPORTER)}
        self._declared: dict[str, dict[Part, Declaration]] = {}

    def update(self, part: Part, series: Mapping[Key, Value], *, known: bool = True) -> None:
        """Take committed values of a part; None removes the part's contribution.

        While a partition is not ``known`` (it counts again what an earlier process had counted) nothing is shown.

        A counter that is lower than before is not shown: a store that fell back is caught up with in a moment. See
        `accept_decreases`.
        """
        if self._awaited and isinstance(part, int):
            self._held_back.setdefault(part, {}).update(series)
            if known:
                self._awaited.discard(part)
            if not self._awaited:
                held_back, self._held_back = self._held_back, {}
                for one, values in held_back.items():
                    self.update(one, values)
            return
        families = self.families
        risen = set(series) if part in self._lower else set()
        for (name, labels), value in series.items():
            family = families.get(name)
            if family is None:  # a metric of another version of this program
                continue
            shown = family.get(labels)
            if shown is None:
                if value is None:
                    continue
                shown = family[labels] = Shown(c.BY_NAME[name], labels, {})
            if value is None:
                shown.parts.pop(part, None)
                if not shown.parts:
                    del family[labels]
            elif _fell(shown, part, value):
                self._hold(part, (name, labels), value)
                risen.discard((name, labels))
                continue
            else:
                shown.parts[part] = value
            family.changed(shown)
        if part in self._lower:
            self._let_go(part, risen)

    def exemplify(self, exemplars: Mapping[Key, Mapping[int, Exemplar]]) -> None:
        """Take examples of durations: the newest of each bucket is shown, where the format has a place for it."""
        for (name, labels), found in exemplars.items():
            shown = self.families[name].get(labels)
            if shown is not None:
                shown.exemplars.update(found)
                self.families[name].changed(shown)

    def replace(self, part: Part, series: Mapping[Key, Value], *, known: bool = True) -> None:
        """Take all that a part contributes; what it does not contribute any more goes, counters as in `update`."""
        gone: dict[Key, Value] = {}
        for name, family in self.families.items():
            for labels, shown in family.items():
                if part in shown.parts and (name, labels) not in series:
                    if isinstance(shown.metric, c.Gauge):
                        gone[name, labels] = None
                    else:
                        self._hold(part, (name, labels), None)
        self.update(part, {**gone, **series}, known=known)

    def _hold(self, part: Part, key: Key, value: Value) -> None:
        self._lower.setdefault(part, {})[key] = value
        self._lower_since.setdefault(part, self._clock())

    def _let_go(self, part: Part, risen: Iterable[Key]) -> None:
        """Values that are shown as they are again are held no longer."""
        lower = self._lower[part]
        for key in risen:
            lower.pop(key, None)
        if not lower:
            del self._lower[part], self._lower_since[part]

    def accept_decreases(self) -> None:
        """Accept, and count, what did not rise again within `HOLD_SECONDS`."""
        for part, since in list(self._lower_since.items()):
            if self._clock() >= since + HOLD_SECONDS:
                lower = self._lower.pop(part)
                del self._lower_since[part]
                for (name, labels), value in lower.items():
                    shown = self.families[name].get(labels)
                    if shown is not None:
                        shown.parts.pop(part, None)
                        self.families[name].changed(shown)
                        if value is not None:
                            shown.parts[part] = value
                        elif not shown.parts:
                            del self.families[name][labels]
                self._on_reset()

    def contribution(self, part: Part) -> dict[Key, Value]:
        """What a part contributes now."""
        return {
            (name, labels): shown.parts[part]
            for name, family in self.families.items()
            for labels, shown in family.items()
            if part in shown.parts
        }

    @property
    def complete(self) -> bool:
        """Whether values of all partitions are known."""
        return not self._awaited

    def merged(self, shown: Shown) -> Value:
        """The value of a series over all parts."""
        if len(shown.parts) == 1:
            (value,) = shown.parts.values()
            return value
        if isinstance(shown.metric, c.Histogram):
            return _merged_histogram(shown.parts.values())
        return _MERGE.get(shown.metric.name, _total)(shown.parts.values())

    def value(self, metric: c.Metric, *labels: str) -> Value:
        """The value shown for one series, None if it is absent."""
        shown = self.families[metric.name].get(labels)
        return None if shown is None else self.merged(shown)

    def declare(self, part: Part, declared: Mapping[str, Declaration]) -> None:
        """Take declarations of pipelines. Of several the newest counts; gauges follow it."""
        for pipeline, declaration in declared.items():
            before = self._newest(pipeline)
            self._declared.setdefault(pipeline, {})[part] = declaration
            after = self._newest(pipeline)
            if after is not before:
                gone: dict[Key, Value] = dict.fromkeys(_gauges(pipeline, before)) if before else {}
                self.update("declared", gone | (_gauges(pipeline, after) if after else {}))

    def redeclare(self, part: Part, declared: Mapping[str, Declaration]) -> None:
        """Take all that a part declares; what it declares no more goes."""
        for pipeline, parts in self._declared.items():
            if part in parts and pipeline not in declared:
                gone = dict.fromkeys(_gauges(pipeline, parts[part])) if self._newest(pipeline) is parts[part] else {}
                del parts[part]
                left = self._newest(pipeline)
                self.update("declared", gone | (_gauges(pipeline, left) if left else {}))
        self.declare(part, declared)

    def _newest(self, pipeline: str) -> Declaration | None:
        return max(self._declared.get(pipeline, {}).values(), key=lambda one: one.time, default=None)


def _fell(shown: Shown, part: Part, value: Value) -> bool:
    """Whether a counter or histogram of a part would go down."""
    before = shown.parts.get(part)
    if before is None or isinstance(shown.metric, c.Gauge):
        return False
    if isinstance(before, tuple):
        return not isinstance(value, tuple) or sum(value[1]) < sum(before[1])
    return value is None or value < before  # type: ignore[operator]


def _gauges(pipeline: str, declaration: Declaration) -> dict[Key, Value]:
    """The gauges that a declaration sets; what it does not say is absent."""
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
