"""Workers that serve several stages: while one works for one stage, the others miss it."""

from jelmon_analyzers.bottleneck.line.stage import Stage


class WorkerSharing:
    """Which workers serve which stages, learnt from their names and counted at the stages that miss them.

    ``inferred`` holds what `inferred_sharing` finds about unnamed workers: stage -> stages with the same workers.
    """

    def __init__(self, stages: list[Stage], *, window_seconds: float) -> None:
        self._stages = stages
        self._window_seconds = window_seconds
        self._served: dict[str, dict[int, float]] = {}
        """Worker -> stage -> when it last started a card there."""
        self.inferred: dict[int, set[int]] = {}

    def occupy(self, worker: str, stage: int, now: float) -> tuple[int, ...]:
        """Record that a stage occupies the worker; returns the stages that miss it until `release`."""
        served = self._served.setdefault(worker, {})
        served[stage] = now
        if len(served) == 1:
            return ()
        missed_by = tuple(other for other, last in served.items() if other != stage and last >= self._recent(now))
        for other in missed_by:
            state = self._stages[other]
            state.advance(now)
            state.workers_elsewhere[stage] = state.workers_elsewhere.get(stage, 0) + 1
        return missed_by

    def release(self, missed_by: tuple[int, ...], stage: int, now: float) -> None:
        """Record that the stage releases the worker."""
        for other in missed_by:
            state = self._stages[other]
            state.advance(now)
            state.workers_elsewhere[stage] -= 1
            if not state.workers_elsewhere[stage]:
                del state.workers_elsewhere[stage]

    def partners(self, stage: int, now: float) -> set[int]:
        """Return the other stages that workers of this one served in the last two windows."""
        recent = self._recent(now)
        return self.inferred.get(stage, set()) | {
            other
            for served in self._served.values()
            if len(served) > 1 and served.get(stage, float("-inf")) >= recent
            for other, last in served.items()
            if other != stage and last >= recent
        }

    def forget(self, now: float) -> None:
        """Drop workers not seen for two windows: each job may have a worker name of its own."""
        recent = self._recent(now)
        for worker in [worker for worker, served in self._served.items() if max(served.values()) < recent]:
            del self._served[worker]

    def _recent(self, now: float) -> float:
        return now - 2 * self._window_seconds
