"""Blocked cards: finished in a stage and kept there, because the next stage has no room for them."""

from jelmon_analyzers.bottleneck.line.stage import Stage


class BlockedCards:
    """Counts blocked cards by stage and blocking stage, and keeps the blamed stage of each stage up to date."""

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages
        self._blockers: dict[int, dict[int | None, int]] = {}
        """Stage -> the stage that blocks its cards (None: unknown) -> number of cards."""

    def count(self, stage: int, blocker: int | None, change: int, now: float) -> None:
        """Count one more (1) or one less (-1) card of ``stage`` that is blocked by ``blocker``."""
        for other in {stage, *self._blockers}:
            self._stages[other].advance(now)
        self._stages[stage].blocked += change
        if blocker is not None:
            self._count_upstream(self._stages[blocker], change, now)
        blockers = self._blockers.setdefault(stage, {})
        blockers[blocker] = blockers.get(blocker, 0) + change
        if blockers[blocker] <= 0:
            del blockers[blocker]
        if not blockers:
            del self._blockers[stage]
            self._stages[stage].blamed_stage = stage
        for other in self._blockers:
            self._stages[other].blamed_stage = self._end_of_chain(other)

    @staticmethod
    def _count_upstream(blocker: Stage, change: int, now: float) -> None:
        blocker.advance(now)
        if not blocker.is_demanded:
            blocker.waiting_since = now
        blocker.blocked_upstream += change
        if change < 0:
            blocker.last_unblocked_upstream = now

    def _end_of_chain(self, stage: int) -> int:
        seen = {stage}
        while stage in self._blockers:
            blockers = self._blockers[stage]
            blocker = max(blockers, key=blockers.__getitem__)
            if blocker is None or blocker in seen:
                break
            stage = blocker
            seen.add(stage)
        return stage
