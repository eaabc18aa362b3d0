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
    alertmanager_retention_seconds: float = 5 * 86400.0  # the default of --data.retention
    runbook_url: str = ""
    grafana_url: str = ""
    analyzer_stale_seconds: float = 600.0
    target: Target = OLDEST
    rules_per_group: int | None = None  # what the ruler allows; None: the default of the target
    rule_groups: int | None = None
    unknown: str = "refuse"  # metrics that nobody declares: refuse, or warn
    at_most: Mapping[str, int] = field(default_factory=dict)  # label -> the most values that it can have
