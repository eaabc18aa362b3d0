"""Routes of cards through the stages, learnt from cards and from the pipeline's declaration. Stages are indexes."""

import random

LEAST_RUNS = 20
"""Runs of a stage after which it counts as the last one if no card went on."""


class Routing:
    """Counts where cards went after each stage and where they ended."""

    def __init__(self) -> None:
        self.declared_order: tuple[int, ...] = ()
        self._transitions: dict[int, dict[int, int]] = {}
        self._exits: dict[int, int] = {}

    def count_transition(self, stage: int, following: int) -> None:
        """Count a card that went from one stage to the next."""
        transitions = self._transitions.setdefault(stage, {})
        transitions[following] = transitions.get(following, 0) + 1

    def count_exit(self, stage: int) -> None:
        """Count a card that ended at a stage."""
        self._exits[stage] = self._exits.get(stage, 0) + 1

    def following(self, stage: int) -> int | None:
        """Return the stage where most cards went from there, else the declared one; None at the end or if unknown."""
        transitions = self._transitions.get(stage)
        if transitions:
            return max(transitions, key=lambda target: (transitions[target], -target))
        if stage in self.declared_order:
            position = self.declared_order.index(stage) + 1
            return self.declared_order[position] if position < len(self.declared_order) else None
        return None

    def is_last(self, stage: int, *, runs: int) -> bool:
        """Return whether no card goes on from there, after that many remembered runs."""
        if self.declared_order:
            return self.following(stage) is None
        return stage not in self._transitions and runs >= LEAST_RUNS

    def sample(self, stage: int, generator: random.Random, *, most: int) -> list[int]:
        """Return a random route onward from a stage, of at most that many stages, by the counts."""
        route: list[int] = []
        while len(route) < most:
            transitions = self._transitions.get(stage, {})
            exits = self._exits.get(stage, 0)
            total = sum(transitions.values()) + exits
            if not total or generator.random() * total < exits:
                break
            stage = generator.choices(list(transitions), list(transitions.values()))[0]
            route.append(stage)
        return route
