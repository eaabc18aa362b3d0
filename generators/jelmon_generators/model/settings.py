"""What the whole bundle shares (``rules/bundle.yaml``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jelmon_generators.targets import OLDEST, Target


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """Intervals, retention, links, and what evaluates the rendered files."""

    team: str = "jelmore"
    evaluation_interval_seconds: float = 15.0
    scrape_interval_seconds: float = 15.0
    retention_seconds: float = 15 * 86400.0
    runbook_url: str = ""
    grafana_url: str = ""
    analyzer_stale_seconds: float = 600.0
    target: Target = OLDEST
    at_most: Mapping[str, int] = field(default_factory=dict)  # label -> the most values that it can have
