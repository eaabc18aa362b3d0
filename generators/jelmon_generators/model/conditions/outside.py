"""The signal is outside a range."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Self

from jelmon.config.strict_yaml import Fields, Place
from jelmon_generators.checks import CONDITION
from jelmon_generators.model.conditions.base import Directions, SignalCondition, Values, around
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.expressions import Expression, number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outside(SignalCondition):
    """The signal is below ``low`` or above ``high``."""

    low: float
    high: float

    @classmethod
    def read(cls, fields: Fields, operator: str) -> Self:
        low, high = fields.number("low"), fields.number("high")
        if low >= high:
            CONDITION.report(fields.at("high"), "high must be greater than low")
        return cls(signal=fields.text("metric_path"), low=low, high=high, fields=fields)

    def thresholds(self) -> list[tuple[float, Place]]:
        return [(self.low, self.fields.at("low")), (self.high, self.fields.at("high"))]

    def promql(self, known: Known) -> Expression:
        record = known.current(self.signal)
        text = f"{record} < {number(self.low)} or {record} > {number(self.high)}"
        return Expression(f"({text})", known.labels[self.signal])

    def is_met(self, values: Values, directions: Directions) -> bool:
        value = values[self.key]
        return value is not None and (value < self.low or value > self.high)

    def lasts(self, values: Values, directions: Directions, known: Known) -> float:
        return known.lingers(self.signal) if self.holds(values, directions) else -inf

    def edges(self, directions: Directions) -> list[float | None]:
        return [*around(self.low), *around(self.high)]

    def describe(self, signals: Mapping[str, Signal]) -> str:
        signal = signals[self.signal]
        return f"`{signal.name}` is below {signal.amount(self.low)} or above {signal.amount(self.high)}"
