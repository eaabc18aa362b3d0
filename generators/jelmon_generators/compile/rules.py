"""Definitions to rule groups: one group for each signal, with its recording first and then every alert about it.

The order inside a group is part of the meaning: Prometheus evaluates it from top to bottom, so an alert sees the value
recorded in the same evaluation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from jelmon_generators.compile import cardinality
from jelmon_generators.compile.exceptions import excluded
from jelmon_generators.compile.links import annotations, common_labels
from jelmon_generators.compile.placement import SLO_INTERVAL_SECONDS, Placement, group_of
from jelmon_generators.model.conditions.base import SignalCondition
from jelmon_generators.model.definitions import Alert, Bundle, Escalation
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.expressions import Expression, duration

FIRING_SINCE = "jelmore:alert_firing_since:timestamp_seconds"
ALERT_VALUE = "jelmore:alert:value"
CARRIED_SECONDS = 600.0
"""How long the clock of an escalation survives a pause of its alert, in addition to the alert's own ``for``."""


class Recording(NamedTuple):
    """A recording rule."""

    record: str
    expr: str
    labels: dict[str, str]


class Alerting(NamedTuple):
    """An alerting rule."""

    alert: str
    expr: str
    for_seconds: float
    keep_firing_seconds: float
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in this order."""

    name: str
    rules: tuple[Recording | Alerting, ...]
    sources: tuple[str, ...]
    signals: tuple[str, ...]
    interval_seconds: float
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """An alert and the rules that it became."""

    alert: Alert
    expression: Expression
    rules: tuple[Recording | Alerting, ...]
    known: Known  # under which names its group records what it reads


def recorded_labels(signal: Signal, analysis: Analysis) -> frozenset[str]:
    """Return the labels of a signal's recorded series."""
    return _with_scrape_labels(analysis.labels or frozenset(), bool(signal.job))


@lru_cache(maxsize=4096)  # the same set for all signals of a kind
def _with_scrape_labels(labels: frozenset[str], job: bool) -> frozenset[str]:
    return labels | {"instance"} | ({"job"} if job else frozenset())


def recording(signal: Signal, analysis: Analysis) -> Recording:
    """Return the rule that records a signal. Dashboards need ``instance`` even where replicas are aggregated away."""
    labels = {}
    if "instance" not in (analysis.labels or ()):
        labels["instance"] = "all"
    if signal.job:
        labels["job"] = signal.job
    # a percentile of nothing is NaN, which no comparison notices and every later median takes for a value
    expr = f"({signal.expr}) >= -Inf" if analysis.may_be_nan else signal.expr
    return Recording(signal.record, expr, labels)


def compile_alert(alert: Alert, known: Known, escalation: Escalation | None) -> Compiled:
    """Return the alert; with an escalation also its value, its clock, and one alert for each level."""
    expression = excluded(alert.condition, alert.unless, known)
    labels = common_labels(alert)
    notes = annotations(alert, known.settings, expression.labels)
    base = Alerting(
        alert.name, _bare(expression.text), alert.duration_seconds, alert.keep_firing_seconds, labels, notes
    )
    rules: list[Recording | Alerting] = [base]
    if escalation is not None:
        rules.extend((_value(base), _clock(alert)))
        rules.extend(_levels(alert, escalation, notes))
    return Compiled(alert, expression, tuple(rules), known)


def _bare(text: str) -> str:
    """Return a multi-line expression without its outermost parentheses."""
    if text.startswith("(\n") and text.endswith("\n)") and text.count("\n)") == 1:
        return "\n".join(line.removeprefix("  ") for line in text[2:-2].split("\n"))
    return text


def _clock(alert: Alert) -> Recording:
    """Return the recording of when the alert started to fire, kept over flaps and restarts for ``for`` + 10 minutes."""
    names = f'alertname="{alert.name}",rule_id="{alert.rule_id}"'
    window = duration(alert.duration_seconds + CARRIED_SECONDS)
    firing = f'ALERTS{{{names},alertstate="firing",escalation_level=""}}'
    return Recording(
        FIRING_SINCE,
        f"(\n  last_over_time({FIRING_SINCE}{{{names}}}[{window}])\n    and ignoring (alertstate)\n  {firing}\n)\n"
        f"or\nmax without (alertstate) (\n  {firing} * time()\n)",
        {"rule_id": alert.rule_id},  # the series has it anyway; here it keeps clocks from looking alike
    )


def _value(base: Alerting) -> Recording:
    """Return the recording of the alert's value under the labels of the alert: what its levels say is what it says."""
    return Recording(ALERT_VALUE, base.expr, base.labels)


def _levels(alert: Alert, escalation: Escalation, notes: dict[str, str]) -> list[Alerting]:
    """Return the alert again for each level: only ``escalation_level`` differs, so that one silence mutes all.

    The value is the last one for which the condition held, which is the value of the alert itself.
    """
    names = f'alertname="{alert.name}",rule_id="{alert.rule_id}"'
    value = f'{ALERT_VALUE}{{rule_id="{alert.rule_id}"}}'
    if alert.keep_firing_seconds:  # the condition may have ended that long ago
        value = f"last_over_time({value}[{duration(alert.keep_firing_seconds + SLO_INTERVAL_SECONDS)}])"
    # automated actions belong to the alert itself: a level must not request them again
    notes = {name: text for name, text in notes.items() if name != "auto_actions"}
    return [
        Alerting(
            alert.name,
            f"{value}\n  and ignoring (alertname)\n(time() - {FIRING_SINCE}{{{names}}} >= {level.minutes * 60:.12g})",
            0.0,
            0.0,
            {"escalation_level": str(place)},
            {
                **notes,
                "escalate_to": level.escalate_to,
                "escalation_note": f"Level {place} of {len(escalation.levels)}: "
                f"firing for {duration(level.minutes * 60)} and not fixed.",
            },
        )
        for place, level in enumerate(escalation.levels, 1)
    ]


def _further_recordings(compiled: Iterable[Compiled]) -> dict[str, list[Recording]]:
    """Return what conditions of a group read besides the signal itself; the first condition about a signal decides."""
    readers: dict[str, list[tuple[SignalCondition, Compiled]]] = {}
    for one in compiled:
        for leaf in one.alert.condition.leaves:
            if leaf.needs_history:
                readers.setdefault(leaf.signal, []).append((leaf, one))
    found = {}
    for signal, members in readers.items():
        leaf, known = members[0][0], members[0][1].known
        keys = {
            one.alert.name: known.by_meaning(known.labels[signal] & one.expression.labels, one.alert.signals)
            for _, one in members
        }
        found[signal] = [Recording(record, expr, {}) for record, expr in leaf.recordings(known, keys)]
    return found


def _alerts_at_most(one: Compiled, values: Mapping[str, Mapping[str, int | None]]) -> int | None:
    """Return how many alerts of a definition there can be: the signal with the fewest values of a label decides."""
    fewest: dict[str, int | None] = {}
    for signal in one.alert.signals:
        for label, number in values[signal].items():
            known = [count for count in (number, fewest.get(label)) if count is not None]
            fewest[label] = min(known, default=None)
    return cardinality.series(one.expression.labels, fewest)


def groups(
    bundle: Bundle, analyses: Mapping[str, Analysis], compiled: Sequence[Compiled], placed: Placement
) -> list[Group]:
    """Return one group for each signal that alerts are about, and one for the signals that only dashboards use."""
    about: dict[str, list[Compiled]] = {}
    for one in compiled:
        about.setdefault(group_of(one.alert, bundle), []).append(one)
    members: dict[str, list[Signal]] = {}
    for name, signal in bundle.signals.items():
        members.setdefault(placed.groups[name], []).append(signal)
    at_most, declared = bundle.settings.at_most, cardinality.Declared(bundle.series)
    values = {
        name: cardinality.bounds(signal, analyses[name], at_most, declared) for name, signal in bundle.signals.items()
    }
    found = []
    for group, signals in members.items():
        asking = about.get(group, [])
        recorded = {signal.name: signal for signal in signals} | dict(placed.copies.get(group, {}))
        further = _further_recordings(asking)
        rules: list[Recording | Alerting] = []
        for name, signal in recorded.items():
            rules.append(recording(signal, analyses[name]))
            rules.extend(further.get(name, ()))
        for one in asking:
            rules.extend(one.rules)
        sources = dict.fromkeys((*(signal.source for signal in signals), *(one.alert.source for one in asking)))
        written = [one.alert.limit for one in asking if one.alert.limit is not None]
        counts = [cardinality.series(values[name], values[name]) for name in recorded]
        limit = (
            max(written) if written else cardinality.limit([*counts, *(_alerts_at_most(one, values) for one in asking)])
        )
        names = tuple(signal.name for signal in signals)
        interval = SLO_INTERVAL_SECONDS if signals[0].group else bundle.settings.evaluation_interval_seconds
        found.append(Group(group, tuple(rules), tuple(sources), names, interval, limit))
    return found
