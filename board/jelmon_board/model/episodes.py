"""Episodes of alerts from the history: what fired, how long, and what it asked for."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from jelmon_board.model.samples import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One alert from its start to its end. Times are Unix times."""

    name: str
    severity: str
    pipeline: str
    stage: str
    starts: float
    ends: float | None
    seconds: float | None
    is_firing: bool
    closed_by: str
    level: int
    notifications: int
    labels: Labels
    annotations: Labels

    @property
    def actions(self) -> tuple[str, ...]:
        """The automatic actions that it asked for."""
        return tuple(filter(None, self.annotations.get("auto_actions", "").split(",")))

    @property
    def is_test(self) -> bool:
        return self.labels.get("drill") == "true"

    def end(self, now: float) -> float:
        """Return its end; now while it fires."""
        return self.ends if self.ends is not None and not self.is_firing else now


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the episodes of one alert cost."""

    name: str
    severity: str
    count: int
    seconds: float
    longest: float
    escalated: int


def costs(episodes: Iterable[Episode], *, now: float, since: float) -> list[Cost]:
    """Return what each alert cost since then, the most expensive first; test alerts are left out."""
    rows: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if not episode.is_test and episode.name != "Watchdog":
            rows[episode.name].append(episode)
    found = []
    for name, own in rows.items():
        first = [episode for episode in own if episode.level == 0]
        lengths = [max(0.0, episode.end(now) - max(since, episode.starts)) for episode in first]
        if first:
            found.append(
                Cost(
                    name=name,
                    severity=first[0].severity,
                    count=len(first),
                    seconds=sum(lengths),
                    longest=max(lengths),
                    escalated=sum(episode.level == 1 for episode in own),
                )
            )
    return sorted(found, key=lambda row: -row.seconds)
