"""How often a rule would have fired: its condition over history, and the alert's life simulated on top."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jelmon.generators.compiler import Compilation
from jelmon.generators.rules import Compiled

Samples = Sequence[float]
"""The moments, in seconds and ascending, at which the condition held."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that an alert would have fired."""

    starts: float
    ends: float

    @property
    def seconds(self) -> float:
        return self.ends - self.starts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would have happened to one definition."""

    episodes: tuple[Episode, ...]
    levels: tuple[int, ...]  # how many episodes would have reached each level

    @property
    def firing_seconds(self) -> float:
        return sum(episode.seconds for episode in self.episodes)

    @property
    def pages(self) -> int:
        """Messages about something new: each episode, and each level that it reached."""
        return len(self.episodes) + sum(self.levels)


def query(one: Compiled, made: Compilation) -> str:
    """The condition over raw metrics, with every signal replaced by its expression: its recording may be new."""
    text = one.rules[0].expr
    for name in one.alert.signals:
        signal = made.bundle.signals[name]
        if signal.reads is None and not signal.group:
            written = f"({signal.expr})".replace("\\", r"\\")
            text = re.sub(rf"{re.escape(signal.record)}(?![\w:\[{{])", written, text)
    return text


def episodes(moments: Samples, *, step: float, for_seconds: float, keep_seconds: float) -> list[Episode]:
    """The firing spans that a series leads to, when the condition held at these moments."""
    found: list[Episode] = []
    run: list[float] = []
    for moment in [*moments, float("inf")]:
        if run and moment - run[-1] > 1.5 * step:
            ends = run[-1] + step + keep_seconds
            if found and run[0] <= found[-1].ends:  # it was still kept firing
                found[-1] = Episode(found[-1].starts, ends)
            elif run[-1] - run[0] >= for_seconds:
                found.append(Episode(run[0] + for_seconds, ends))
            run = []
        run.append(moment)
    return found


def outcome(one: Compiled, series: Iterable[Samples], levels: Sequence[float], step: float) -> Outcome:
    """All series of one definition together. ``levels`` are in seconds after the alert began to fire."""
    all_episodes = [
        episode
        for moments in series
        for episode in episodes(
            moments,
            step=step,
            for_seconds=one.alert.duration_seconds,
            keep_seconds=one.alert.keep_firing_seconds,
        )
    ]
    reached = tuple(sum(episode.seconds >= level for episode in all_episodes) for level in levels)
    return Outcome(tuple(sorted(all_episodes, key=lambda episode: episode.starts)), reached)


def held(matrix: Iterable[Mapping[str, object]]) -> list[list[float]]:
    """The moments of each series of a range query's answer."""
    return [[float(moment) for moment, _ in one["values"]] for one in matrix]  # type: ignore[attr-defined]
