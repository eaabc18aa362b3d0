"""Who holds whom up: cards that are finished in a stage and stay there, since the next one has no room for them."""

from jelmon_analyzers.bottleneck.line.stage import Tally


class Holding:
    """Counts held-up cards by stage and holder, and keeps at each stage which one is to blame in the end."""

    def __init__(self, tallies: list[Tally]) -> None:
        self._tallies = tallies
        self._held_for: dict[int, dict[int | None, int]] = {}

    def count(self, stage: int, target: int | None, change: int, now: float) -> None:
        """Count a card of ``stage`` that ``target`` holds up (1) or lets in (-1), and find out anew whom to blame."""
        for other in {stage, *self._held_for}:
            self._tallies[other].advance(now)
        self._tallies[stage].b += change
        if target is not None:
            wanted = self._tallies[target]
            wanted.advance(now)
            if not (wanted.q or wanted.wanted):
                wanted.waiting_since = now
            wanted.wanted += change
            if change < 0:
                wanted.wanted_until = now
        targets = self._held_for.setdefault(stage, {})
        targets[target] = targets.get(target, 0) + change
        if targets[target] <= 0:
            del targets[target]
        if not targets:
            del self._held_for[stage]
            self._tallies[stage].root = stage
        for other in self._held_for:
            self._tallies[other].root = self._root(other)

    def _root(self, stage: int) -> int:
        seen = {stage}
        while stage in self._held_for:
            targets = self._held_for[stage]
            target = max(targets, key=lambda one: targets[one])
            if target is None or target in seen:
                break
            stage = target
            seen.add(stage)
        return stage
