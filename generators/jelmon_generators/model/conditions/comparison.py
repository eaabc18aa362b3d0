"""The signal is above, below or equal to a threshold."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Self

from jelmon.config.strict_yaml import Fields, Place, did_you_mean
from jelmon_generators.checks import COMMON_LABEL, CONDITION, RANGE, REFERENCE
from jelmon_generators.model.conditions.base import (
    Directions,
    Labels,
    SignalCondition,
    Values,
    Variant,
    around,
    check_start,
)
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.expressions import Expression, labelled, number, on, shared
from jelmon_generators.promql.series import Series

_DECLARED = "15m"  # how long a declared threshold outlives the scrapes of its metric


class Operator(StrEnum):
    """How a signal is compared with its threshold: name in YAML, PromQL, words, Python."""

    GT = ("gt", ">", "above", operator.gt)
    GE = ("ge", ">=", "at or above", operator.ge)
    LT = ("lt", "<", "below", operator.lt)
    LE = ("le", "<=", "at or below", operator.le)
    EQ = ("eq", "==", "equal to", operator.eq)
    NE = ("ne", "!=", "not equal to", operator.ne)

    symbol: str
    words: str
    compare: Callable[[float, float], bool]

    def __new__(cls, name: str, symbol: str, words: str, compare: Callable[[float, float], bool]) -> Self:
        """Create a member whose value is its name in YAML."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.symbol, member.words, member.compare = symbol, words, compare
        return member


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Override:
    """Another threshold for some series."""

    labels: tuple[tuple[str, str], ...]
    threshold: float
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compare(SignalCondition):
    """``signal operator threshold``. ``threshold_from`` names a metric that gives it where it has a series."""

    operator: Operator
    threshold: float
    threshold_from: str | None = None
    overrides: tuple[Override, ...] = ()

    @classmethod
    def read(cls, fields: Fields, operator: str) -> Self:
        return replace(
            cls.read_plain(fields, operator),
            threshold_from=fields.text("threshold_from", None),
            overrides=tuple(_override(item) for item in fields.items("overrides")),
        )

    @classmethod
    def read_plain(cls, fields: Fields, operator: str) -> Self:
        """Read a comparison that has the same threshold for every series."""
        return cls(
            signal=fields.text("metric_path"),
            operator=Operator[operator.upper()],
            threshold=fields.number("threshold"),
            fields=fields,
        )

    @property
    def panel_threshold(self) -> float | None:
        return self.threshold

    @property
    def worst(self) -> str:
        return "min" if self.operator in (Operator.LT, Operator.LE) else "max"

    def thresholds(self) -> list[tuple[float, Place]]:
        return [
            (self.threshold, self.fields.at("threshold")),
            *((override.threshold, override.place) for override in self.overrides),
        ]

    def is_met(self, values: Values, directions: Directions) -> bool:
        value = values[self.key]
        return value is not None and self.operator.compare(value, self.threshold)

    def lasts(self, values: Values, directions: Directions, known: Known) -> float:
        return known.lingers(self.signal) if self.holds(values, directions) else -inf

    def edges(self, directions: Directions) -> list[float | None]:
        return around(self.threshold)

    def describe(self, signals: Mapping[str, Signal]) -> str:
        signal = signals[self.signal]
        text = f"`{signal.name}` is {self.operator.words} {signal.amount(self.threshold)}"
        for override in self.overrides:
            where = ", ".join(f"{name} {value}" for name, value in override.labels)
            text += f"; for {where}: {signal.amount(override.threshold)}"
        if self.threshold_from:
            text += f"; or `{self.threshold_from}` where declared"
        return text

    def promql(self, known: Known) -> Expression:
        record, labels = known.current(self.signal), known.labels[self.signal]
        plain = f"{record} {self.operator.symbol} {number(self.threshold)}"
        special = self._vectors(known)
        if not special:
            return Expression(plain, labels)
        arms, excluded = [], ""
        for names, vector in special:
            arms.append(f"{record} {self.operator.symbol} {on(names)} group_left () {vector}{excluded}")
            excluded += f"\n    unless {on(names)} {vector}"
        arms.append(f"{plain}{excluded}")
        return Expression("(\n  " + "\nor\n  ".join(arms) + "\n)", labels)

    def _vectors(self, known: Known) -> list[tuple[frozenset[str], str]]:
        """Return the other thresholds as (labels to match by, vector); the first that matches applies."""
        by_labels: dict[frozenset[str], list[str]] = {}
        for override in self.overrides:
            vector = f"vector({number(override.threshold)})"
            for name, value in override.labels:
                vector = labelled(vector, name, value)
            by_labels.setdefault(frozenset(name for name, _ in override.labels), []).append(vector)
        vectors = [
            (names, members[0] if len(members) == 1 else f"({' or '.join(members)})")
            for names, members in sorted(by_labels.items(), key=lambda item: (-len(item[0]), sorted(item[0])))
        ]
        if self.threshold_from:
            names = self._declared_by(known)
            declared = f"last_over_time({self.threshold_from}[{_DECLARED}])"
            vectors.append((names, f"max by ({', '.join(sorted(names))}) ({declared})"))
        return vectors

    def _declared_by(self, known: Known) -> frozenset[str]:
        """Return the labels by which the metric gives the threshold of a series: with the job if both have the same."""
        assert self.threshold_from is not None
        names = known.metric_labels(self.threshold_from) & known.labels[self.signal] - {"instance"}
        return names if self._from_same_job(known) else names - {"job"}

    def _from_same_job(self, known: Known) -> bool:
        job = known.metric_job(self.threshold_from or "")
        return job is not None and job == known.scraped.get(self.signal, {}).get("job")

    def check_reach(self, signal: Signal) -> None:
        """Report a threshold that the signal can reach but not cross."""
        end = {Operator.GT: signal.high, Operator.LT: signal.low}.get(self.operator)
        for value, place in self.thresholds():
            if end is not None and value == end:
                RANGE.report(
                    place,
                    f"{signal.name} is never {self.operator.words} {signal.amount(value)}",
                    hint=f"its range ends there; use operator: {'ge' if self.operator is Operator.GT else 'le'}",
                )

    def check_names(self, signals: Mapping[str, Signal], series: Mapping[str, Series]) -> None:
        SignalCondition.check_names(self, signals, series)
        if self.signal in signals:
            self.check_reach(signals[self.signal])
        if self.threshold_from is None:
            return
        place = self.fields.at("threshold_from")
        if self.threshold_from not in series:
            REFERENCE.report(
                place,
                f"unknown metric {self.threshold_from!r}",
                hint=did_you_mean(self.threshold_from, series, otherwise="docs/metrics.md lists the metrics"),
            )
        elif series[self.threshold_from].kind != "gauge":
            kind = series[self.threshold_from].kind
            CONDITION.report(place, f"{self.threshold_from} is a {kind}", hint="threshold_from needs a gauge")

    def check_values(self, known: Known, duration_place: Place, duration_seconds: float) -> None:
        labels = known.labels[self.signal]
        if self.threshold_from and not shared(labels, known.metric_labels(self.threshold_from)):
            COMMON_LABEL.report(
                self.fields.at("threshold_from"),
                f"{self.threshold_from} has no label in common with {self.signal}",
                hint=f"labels of {self.signal}: {', '.join(sorted(labels))}",
            )
        if self.threshold_from and not self._from_same_job(known):
            check_start(duration_place, duration_seconds, known, f"{self.threshold_from} is")
        for override in self.overrides:
            for name, _ in override.labels:
                if name not in labels:
                    COMMON_LABEL.report(
                        underlined(override.place, name),
                        f"{self.signal} has no label {name!r}",
                        hint=did_you_mean(name, labels, otherwise=f"its labels: {', '.join(sorted(labels))}"),
                    )

    def variants(self) -> list[Variant]:
        declared = self.threshold * 2 or 1.0
        return [
            *([self._variant(declared, {}, self.threshold_from)] if self.threshold_from else []),
            *(self._variant(override.threshold, dict(override.labels)) for override in self.overrides),
        ]

    def _variant(self, threshold: float, labels: Labels, metric: str | None = None) -> Variant:
        return Variant(replace(self, threshold=threshold), threshold, labels, metric)


def _override(fields: Fields) -> Override:
    labels = tuple(sorted((name, value) for name, value, _ in fields.plain("labels")))
    if not labels:
        CONDITION.report(fields.place, "an override needs labels", hint="labels: {pipeline: nightly}")
    override = Override(labels=labels, threshold=fields.number("threshold"), place=fields.place)
    fields.done("an override")
    return override
