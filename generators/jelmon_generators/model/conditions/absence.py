"""The signal has no series."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.checks import ABSENCE
from jelmon_generators.model.conditions.base import Directions, SignalCondition, Values
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.expressions import Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Absent(SignalCondition):
    """The signal has no series at all."""

    keeps_labels: ClassVar[bool] = False

    @classmethod
    def read(cls, fields: Fields, operator: str) -> Self:
        return cls(signal=fields.text("metric_path"), fields=fields)

    def promql(self, known: Known) -> Expression:
        return Expression(f"absent({known.records[self.signal]})", frozenset())

    def is_met(self, values: Values, directions: Directions) -> bool:
        return values[self.key] is None

    def edges(self, directions: Directions) -> list[float | None]:
        return [None, 1.0]

    def describe(self, signals: Mapping[str, Signal]) -> str:
        return f"`{self.signal}` has no series"

    def check_values(self, known: Known, duration_place: Place, duration_seconds: float) -> None:
        if duration_seconds < 2 * known.settings.scrape_interval_seconds:
            ABSENCE.report(
                duration_place,
                "an absence must last for at least two scrapes",
                hint="a single lost scrape is not an absence: write duration_minutes: 1 or more",
            )
