"""What a condition can look up about the signals and metrics that it names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from jelmon_generators.model.settings import Settings
from jelmon_generators.model.signals import Direction
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, duration

_LONGEST_SECONDS = 3600.0  # without scrapes, an exception is remembered for so long at most
REPLICAS = "all"
"""The value of ``instance`` where a recording has aggregated the replicas away."""


@dataclass(frozen=True, slots=True)
class Known:
    """Names, labels and directions of all signals."""

    records: Mapping[str, str]  # signal -> recorded name, in the group of the reader
    labels: Mapping[str, frozenset[str]]  # signal -> labels of the recorded series
    directions: Mapping[str, Direction]
    metric_labels: Callable[[str], frozenset[str]]
    metric_job: Callable[[str], str | None]  # that exposes it
    settings: Settings
    scraped: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """Signal -> where its labels ``job`` and ``instance`` come from; None: unknown."""
    persists: Mapping[str, float] = field(default_factory=dict)
    """Signal -> seconds for which it outlives the scrapes of its metrics; unknown where recordings are read."""
    interval_seconds: float = 15.0  # of the group that reads
    outlasts_seconds: float | None = None  # of an exception: what it excepts may persist so long
    origins: dict[object, tuple[object, ...]] = field(default_factory=dict)
    """Condition -> what its labels mean, as far as it has been asked."""
    matched: dict[tuple[tuple[object, ...], ...], frozenset[str]] = field(default_factory=dict)
    """By which labels conditions of such origins match each other, as far as it has been asked."""

    @property
    def bridged_seconds(self) -> float:
        """Three missed scrapes; a fraction more, so that no version of Prometheus disagrees about the fourth."""
        interval = self.interval_seconds
        return 3 * max(interval, self.settings.scrape_interval_seconds) + interval / 3

    def current(self, signal: str) -> str:
        """Return PromQL for the present value of a signal, bridging missed scrapes where the signal is a gauge.

        An exception is read for longer: what it excepts may outlive the scrapes, and must not do so alone.
        """
        record, seconds = self.records[signal], self.remembered_seconds(signal)
        return f"last_over_time({record}[{duration(seconds)}])" if seconds else record

    def remembered_seconds(self, signal: str) -> float:
        """Return for how long the last value of a signal counts as its present one."""
        persists = self.persists.get(signal)
        if self.outlasts_seconds is not None and persists != inf:
            return self.bridged_seconds + max(0.0, self.outlasts_seconds - (persists or 0.0))
        return self.bridged_seconds if persists == 0 else 0.0

    def lingers(self, signal: str) -> float:
        """Return for how many seconds a condition about the signal holds after its last value: whole evaluations."""
        if self.persists.get(signal) != 0:
            return 0.0
        return self.bridged_seconds // self.interval_seconds * self.interval_seconds

    def for_exceptions(self, signals: Iterable[str]) -> "Known":
        """Return what exceptions know: how long conditions about these signals may outlive the scrapes."""
        longest = max((self.persists.get(signal, _LONGEST_SECONDS) for signal in signals), default=0.0)
        return replace(self, outlasts_seconds=min(longest, _LONGEST_SECONDS))

    def by_meaning(self, labels: frozenset[str], signals: Iterable[str]) -> frozenset[str]:
        """Return those labels by which these signals can be matched.

        ``job`` and ``instance`` say who was scraped. They identify something only among signals of one job; an
        ``instance`` that rules have set is the same everywhere.
        """
        names = set(signals)
        scraped = [self.scraped.get(name, {}) for name in names]
        kept = labels - NOT_FOR_MATCHING
        for label in labels - kept:
            sources = {source.get(label) for source in scraped}
            unknown = None in sources and len(names) > 1
            if not (len(sources) > 1 or unknown or REPLICAS in sources):
                kept |= {label}
        return kept
