"""Backtest an alert: evaluate its condition over history and simulate the life of the alert."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jelmon.config.settings import parse_duration
from jelmon_generators.compile.rules import FIRING_SINCE, Compiled, Recording
from jelmon_generators.compiler import Compilation
from jelmon_generators.promql.analysis import Limits, analyse
from jelmon_generators.promql.expressions import duration, number

_MEDIAN_POINTS = 720
_HAVE_NO_SOURCE = (FIRING_SINCE,)
_USE = re.compile(
    r"(?P<function>\b\w+_over_time\((?:[\d.]+, )?)?(?<![\w:])(?P<name>jelmore:[\w:]+)"
    r"(?P<matchers>\{[^}]*\})?(?:\[(?P<window>\w+)\])?"
)

Samples = Sequence[float]
"""The moments, in seconds and ascending, at which the condition held."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A period in which an alert would have fired."""

    starts: float
    ends: float

    @property
    def seconds(self) -> float:
        return self.ends - self.starts


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a backtest of one definition."""

    episodes: tuple[Episode, ...]
    levels: tuple[int, ...]  # episodes that would have reached each level

    @property
    def firing_seconds(self) -> float:
        return sum(episode.seconds for episode in self.episodes)

    @property
    def pages(self) -> int:
        """Return the number of notifications: one per episode and per escalation level reached."""
        return len(self.episodes) + sum(self.levels)


def query(compiled: Compiled, made: Compilation) -> str:
    """Return the condition in terms of raw metrics, since new recordings have no history.

    A recording is replaced by its expression, and a window over it by a subquery at the evaluation interval. A median
    of a day would be too expensive; it is computed from `_MEDIAN_POINTS` samples.
    """
    recorded = {
        rule.record: (rule, group.interval_seconds)
        for group in made.groups
        for rule in group.rules
        if isinstance(rule, Recording) and rule.record not in _HAVE_NO_SOURCE
    }

    def inlined(text: str) -> str:
        return _USE.sub(use, text)

    def use(match: re.Match[str]) -> str:
        if match["name"] not in recorded or match["matchers"]:
            return match[0]
        rule, interval = recorded[match["name"]]
        text = f"({inlined(rule.expr)})"
        for label, value in rule.labels.items():
            if label != "instance":  # never matched on
                text = f'label_replace({text}, "{label}", "{value}", "", "")'
        if not match["window"]:
            return f"{match['function'] or ''}{text}"
        step, function = interval, match["function"] or ""
        if function.startswith(("quantile_over_time", "count_over_time")):
            step = max(interval, parse_duration(match["window"], name="") / _MEDIAN_POINTS)
        if function.startswith("count_over_time"):  # scale to the number of recorded samples
            function = f"{number(step / interval)} * {function}"
        return f"{function}{text}[{match['window']}:{duration(step)}]"

    return inlined(compiled.rules[0].expr)


def metrics(condition: str) -> list[str]:
    """Return the metrics that a query reads, except those that only rules produce."""
    names = analyse(condition, {}, Limits()).names
    return sorted(name for name in names if name != "ALERTS" and ":" not in name)


def episodes(moments: Samples, *, step: float, for_seconds: float, keep_seconds: float) -> list[Episode]:
    """Return the firing periods of a series whose condition held at these moments."""
    episodes: list[Episode] = []
    run: list[float] = []
    for moment in [*moments, float("inf")]:
        if run and moment - run[-1] > 1.5 * step:
            ends = run[-1] + step + keep_seconds
            if episodes and run[0] <= episodes[-1].ends:  # still kept firing
                episodes[-1] = Episode(episodes[-1].starts, ends)
            elif run[-1] - run[0] >= for_seconds:
                episodes.append(Episode(run[0] + for_seconds, ends))
            run = []
        run.append(moment)
    return episodes


def outcome(compiled: Compiled, series: Iterable[Samples], levels: Sequence[float], step: float) -> Outcome:
    """Combine all series of a definition. ``levels`` are in seconds after the alert started firing."""
    all_episodes = [
        episode
        for moments in series
        for episode in episodes(
            moments,
            step=step,
            for_seconds=compiled.alert.duration_seconds,
            keep_seconds=compiled.alert.keep_firing_seconds,
        )
    ]
    reached = tuple(sum(episode.seconds >= level for episode in all_episodes) for level in levels)
    return Outcome(tuple(sorted(all_episodes, key=lambda episode: episode.starts)), reached)


def held(matrix: Iterable[Mapping[str, object]]) -> list[list[float]]:
    """Return the moments of each series in the response to a range query."""
    return [[float(moment) for moment, _ in series["values"]] for series in matrix]  # type: ignore[attr-defined]
