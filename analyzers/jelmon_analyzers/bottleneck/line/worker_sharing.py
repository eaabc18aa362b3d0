"""Workers that serve several stages: while one is at one stage, it is missing at the others."""

from jelmon_analyzers.bottleneck.line.stage import Tally


class Sharing:
    """Who serves what, learnt from the names of workers, and counted at the stages that miss them.

    ``unnamed`` is what whoever judges the line found of workers without names: stage -> stages with the same workers.
    """

    def __init__(self, tallies: list[Tally], *, window_seconds: float) -> None:
        self._tallies = tallies
        self._window_seconds = window_seconds
        self._serves: dict[str, dict[int, float]] = {}
        """Worker -> stage -> when it was last taken on there."""
        self.unnamed: dict[int, set[int]] = {}

    def occupy(self, worker: str, stage: int, now: float) -> tuple[int, ...]:
        """The worker is taken on by a stage; returns the stages that miss it until `release`."""
        serves = self._serves.setdefault(worker, {})
        serves[stage] = now
        if len(serves) == 1:
            return ()
        missing = tuple(other for other, last in serves.items() if other != stage and last >= self._recent(now))
        for other in missing:
            tally = self._tallies[other]
            tally.advance(now)
            tally.elsewhere[stage] = tally.elsewhere.get(stage, 0) + 1
        return missing

    def release(self, missing: tuple[int, ...], stage: int, now: float) -> None:
        """The stage lets the worker go."""
        for other in missing:
            tally = self._tallies[other]
            tally.advance(now)
            tally.elsewhere[stage] -= 1
            if not tally.elsewhere[stage]:
                del tally.elsewhere[stage]

    def with_whom(self, stage: int, now: float) -> set[int]:
        """The other stages that workers of this one have served lately."""
        recent = self._recent(now)
        return self.unnamed.get(stage, set()) | {
            other
            for serves in self._serves.values()
            if len(serves) > 1 and serves.get(stage, float("-inf")) >= recent
            for other, last in serves.items()
            if other != stage and last >= recent
        }

    def forget(self, now: float) -> None:
        """Drop workers that were long not seen: names may be made up for each job."""
        recent = self._recent(now)
        for worker in [worker for worker, serves in self._serves.items() if max(serves.values()) < recent]:
            del self._serves[worker]

    def _recent(self, now: float) -> float:
        return now - 2 * self._window_seconds
