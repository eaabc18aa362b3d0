"""The simulated clock: events and scrapes in order of time, as one loop.

A scrape at time T sees every event that arrived by T. The analyzers run just before a scrape, every
``analyzer_seconds``; between two runs their gauges keep their values, as they do for a real Prometheus.
"""

import math
from collections.abc import Iterable, Iterator

from jelmon.errors import EventError
from jelmon.events import Event
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings
from jelmon_exporter.counting.limits import Limits
from jelmon_history.columns import Chunk, Columns, Recorder, labels_of
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.pages.analyzers import AnalyzerPage
from jelmon_history.pages.exporter import ExporterPage
from jelmon_history.settings import Settings

_BATCH = 1000
CHUNK_SECONDS = 1800.0
"""Length of a chunk. A Prometheus accepts samples up to half a block (an hour) older than its newest one, and each
chunk is sent series by series."""


class Simulation:
    """What Prometheus would have scraped from an exporter and its analyzers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._columns = Columns()
        self._recorder = Recorder(self._columns)
        exporter = settings.exporter_target
        limits = Limits(label_values=settings.label_limit)
        self._exporter = ExporterPage(self._columns, exporter, limits=limits)
        targets = [exporter]
        self._analyzers: AnalyzerPage | None = None
        if settings.analyzers:
            analyzer = settings.analyzer_target
            targets.append(analyzer)
            self._analyzers = AnalyzerPage(self._columns, analyzer, EventAnalyzersSettings())
        for target in targets:
            own = {**target.labels, "job": target.job, "instance": target.instance}
            self._columns.set(self._columns.column(labels_of("up", own)), 1.0)
        self._analyzers_due = -math.inf
        self._batch: list[Event] = []
        self._clock = -math.inf  # arrival of the newest event
        self.scrapes = 0
        self.events = 0
        self.unreadable = 0

    @property
    def clock(self) -> float:
        """When the newest event arrived, in seconds."""
        return self._clock

    def run(self, arrivals: Iterable[Arrival]) -> Iterator[Chunk]:
        """Yield what the scrapes held, from the one before the first event to the one after the last."""
        step, until = self._settings.step, self._settings.until
        scrape: int | None = None  # the number of the next scrape, which takes place at scrape * step
        for time, event in arrivals:
            if time > until:
                break
            clock = max(self._clock, time)
            if scrape is None and clock > -math.inf:
                scrape = math.ceil(clock / step) - 1
            while scrape is not None and scrape * step < clock:
                yield from self._scrape(scrape * step)
                scrape += 1
            self._clock = clock
            self._take(event)
        if scrape is not None:
            last = math.ceil((until if until < math.inf else self._clock) / step)
            for number in range(scrape, last + 1):
                yield from self._scrape(number * step, last=number == last)
        if len(self._recorder):
            yield self._recorder.take()

    def _take(self, event: Event | EventError) -> None:
        if isinstance(event, EventError):
            self.unreadable += 1
            self._exporter.park(event)
            return
        self.events += 1
        self._batch.append(event)
        if self._analyzers is not None:
            self._analyzers.observe(event)
        if len(self._batch) >= _BATCH:
            self._count()

    def _count(self) -> None:
        if self._batch:
            self._exporter.count(self._batch, self._clock)
            self._batch.clear()

    def _scrape(self, time: float, *, last: bool = False) -> Iterator[Chunk]:
        self._count()
        if self._analyzers is not None and (last or time >= self._analyzers_due):
            self._analyzers_due = time + self._settings.analyzer_seconds
            self._analyzers.cycle(time, last=last)
        elif self._analyzers is not None:
            self._analyzers.live(time)
        self._exporter.collect(time)
        self._recorder.record(time)
        self.scrapes += 1
        if (time + self._settings.step) // CHUNK_SECONDS != time // CHUNK_SECONDS:
            yield self._recorder.take()
