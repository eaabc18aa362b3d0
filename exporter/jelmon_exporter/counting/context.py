"""What all partitions of a process share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.clock import StreamClock
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.scheduling import Scheduler
from jelmon_exporter.replicas.leadership import Leadership
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.store import StateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingContext:
    """Stores, views and limits, passed as one object."""

    store: StateStore
    view: View
    process_series: SeriesTable  # series of this process, not of a partition
    limits: Limits
    admission: Admission
    partitions: int
    clock: Callable[[], float] = time.time
    leadership: Leadership | None = None  # of exporters with separate states; None: each exposes what it counted
    stream_clock: StreamClock = field(default_factory=StreamClock)
    scheduler: Scheduler = field(default_factory=Scheduler)
