"""The parts of a line: stages, workers, queue capacities and routes, as configured, declared, observed or estimated."""

from collections.abc import Mapping

from jelmon import events as e
from jelmon_analyzers.bottleneck.line.capacity_estimation import CapacityEstimator
from jelmon_analyzers.bottleneck.line.routing import Routing
from jelmon_analyzers.bottleneck.line.stage import Stage
from jelmon_analyzers.bottleneck.line.work_in_process import WorkInProcess
from jelmon_analyzers.bottleneck.line.worker_sharing import WorkerSharing


class Topology:
    """Stages by index. ``clock`` is the newest time known, in seconds since the epoch; it never goes back."""

    def __init__(
        self, *, window_seconds: float, workers: Mapping[str, int] | None, capacities: Mapping[str, int] | None
    ) -> None:
        self.window_seconds = window_seconds
        self._configured_workers = dict(workers or {})
        self._configured_capacities = dict(capacities or {})
        self.clock = float("-inf")
        self.index: dict[str, int] = {}
        self.stages: list[Stage] = []
        self.sharing = WorkerSharing(self.stages, window_seconds=window_seconds)
        self.routing = Routing()
        self.work_in_process = WorkInProcess()
        self.declared_capacities: dict[int, int] = {}
        self.observed_capacities: dict[int, int] = {}
        """The longest queue when an event reported a card as blocked by the stage."""
        self.capacity_estimator = CapacityEstimator(self.stages)
        self._declared_at = float("-inf")

    def stage(self, name: str) -> int:
        """Return the index of a stage; adds the stage if it is new."""
        index = self.index.get(name)
        if index is None:
            index = self.index[name] = len(self.stages)
            stage = Stage(name, index, window_seconds=self.window_seconds, at=self.clock)
            stage.workers_declared = self._configured_workers.get(name)
            self.stages.append(stage)
            if name in self._configured_capacities:
                self.declared_capacities[index] = self._configured_capacities[name]
        return index

    def declare(self, event: e.PipelineDeclared, time: float) -> None:
        """Apply the newest declaration of the pipeline; configured values fill in what it leaves out."""
        if time < self._declared_at:
            return
        self._declared_at = time
        self.declared_capacities.clear()
        self.routing.declared_order = tuple(self.stage(part.stage) for part in event.data.stages)
        for index, part in zip(self.routing.declared_order, event.data.stages, strict=True):
            self.stages[index].advance(self.clock)
            self.stages[index].workers_declared = part.workers or self._configured_workers.get(part.stage)
            capacity = part.queue_capacity
            if capacity is None:
                capacity = self._configured_capacities.get(part.stage)
            if capacity is not None:
                self.declared_capacities[index] = capacity

    def capacity(self, stage: int) -> int | None:
        """Return the queue capacity: declared, else observed, else estimated; None: no limit."""
        declared = self.declared_capacities.get(stage)
        if declared is not None:
            return declared
        return self.observed_capacities.get(stage, self.capacity_estimator.estimates.get(stage))

    def is_full(self, stage: int) -> bool:
        """Return whether the queue of a stage is full, by its declared or estimated capacity.

        An observed capacity does not count: where events report blocking, they report all of it.
        """
        capacity = self.declared_capacities.get(stage, self.capacity_estimator.estimates.get(stage))
        return capacity is not None and self.stages[stage].is_full(capacity)

    def needs_capacity_estimate(self, stage: int) -> bool:
        """Return whether nobody declares the stage's queue capacity or reports the cards that it blocks."""
        return stage not in self.declared_capacities and stage not in self.observed_capacities

    def wip_limit(self, since: float) -> int | None:
        """Return the limit on work in process; None without one, or where the first stage has a limited queue."""
        if any(self.capacity(stage) is not None for stage in self.work_in_process.entries):
            return None
        return self.work_in_process.limit(since)
