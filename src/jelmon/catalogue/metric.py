"""The kinds of metrics, the service that exposes them, and the buckets and label values that several share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jelmon.events import Outcome, Severity, TestOutcome, Verdict


class Service(StrEnum):
    """The service that exposes a metric; its Prometheus ``job`` is ``jelmon-<service>``."""

    EXPORTER = "exporter"
    ANALYZER = "analyzer"
    RESPONDER = "responder"
    STORE = "store"
    BOARD = "board"

    @property
    def job(self) -> str:
        return f"jelmon-{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family; the only place where its name is written.

    ``closed`` lists the values of labels that are small closed sets: a counter exports them as 0 as soon as its other
    labels are known, so that ``increase()`` includes the first event with each of these values. The event that makes
    the other labels known appears at once; ``occurrences`` in ``rules/signals.yaml`` includes it too.
    """

    name: str
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    service: Service = Service.EXPORTER
    closed: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """``counter``, ``gauge`` or ``histogram``, as on a ``# TYPE`` line."""
        return type(self).__name__.lower()

    @property
    def series(self) -> tuple[str, ...]:
        """The names a query may use."""
        return (self.name,)

    @property
    def series_labels(self) -> tuple[str, ...]:
        """The labels a query may use, without those that Prometheus adds (``job``, ``instance``)."""
        return self.labels


class Counter(Metric):
    """A value that only increases. Its name ends in ``_total``."""


class Gauge(Metric):
    """A value that goes up and down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Metric):
    """Observations counted in buckets. ``buckets`` are upper bounds in ascending order, without ``+Inf``."""

    buckets: tuple[float, ...]
    former: tuple[
        tuple[float, ...], ...
    ] = ()  # buckets of earlier versions: stored counts are brought into the new ones

    @property
    def series(self) -> tuple[str, ...]:
        return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")

    @property
    def series_labels(self) -> tuple[str, ...]:
        return (*self.labels, "le")


# --- buckets, in seconds ---
WORK_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 259200, 604800)
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CYCLE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# --- closed label sets ---
OUTCOMES = {"outcome": tuple(Outcome)}
TEST_OUTCOMES = {"outcome": tuple(TestOutcome)}
VERDICTS = {"verdict": tuple(Verdict)}
SEVERITIES = {"severity": tuple(Severity)}
ALERT_SEVERITIES = ("critical", "warning", "info", "none")

PIPELINE = ("pipeline",)
STAGE = ("pipeline", "stage")
