"""What bounds the memory of a partition."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds by number and by age; all times in seconds."""

    label_values: int = 200  # values of one label (for stages: per pipeline) with series of their own
    overflow_pipelines: int = 16_000  # pipelines above that limit whose cards are tracked
    deduplication_seconds: float = 600.0
    deduplication_ids: int = 1_000_000
    retention_seconds: float = 7 * 86400.0  # a card without events for this long is given up
    idle_seconds: float = 86400.0  # series unchanged for this long are dropped
    finished_seconds: float = 900.0  # how long a finished card is kept for late events
    finished_entries: int = 200_000

    def share(self, partitions: int) -> "Limits":
        """Return one partition's share of the limits by number."""
        return replace(
            self,
            overflow_pipelines=max(100, self.overflow_pipelines // partitions),
            deduplication_ids=max(1000, self.deduplication_ids // partitions),
            finished_entries=max(1000, self.finished_entries // partitions),
        )
