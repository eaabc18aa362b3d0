"""Where signals are recorded: an alert reads only what its own group has recorded before it.

Prometheus evaluates each group at an offset of its own. What another group records is up to an interval old, and for a
moment after a start or a gap in the scrapes it does not exist; an ``unless`` would then let everything through. So a
signal is recorded in the first group that reads it, and every other group that reads it records a copy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jelmon_generators.model.definitions import Alert, Bundle
from jelmon_generators.model.known import Known
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.expressions import duration

OTHERS = "signals"
"""The group of signals that no alert uses."""
_EVALUATIONS_BRIDGED = 4
SLO_INTERVAL_SECONDS = 60.0
"""Objectives cover days; once a minute is enough."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The group of each signal, and the copies that each group needs besides."""

    groups: Mapping[str, str]  # signal -> the group that records it under its own name
    copies: Mapping[str, Mapping[str, Signal]]  # group -> signal -> its copy

    def record(self, signal: str, alert: Alert, bundle: Bundle) -> str:
        """Return the name under which the group of the alert records a signal."""
        copies = self.copies.get(group_of(alert, bundle), {})
        return copies.get(signal, bundle.signals[signal]).record

    def known(self, alert: Alert, bundle: Bundle, known: Known) -> Known:
        """Return the names under which the group of the alert records what the alert reads."""
        group = group_of(alert, bundle)
        if bundle.signals[alert.signals[0]].group:
            known = replace(known, interval_seconds=SLO_INTERVAL_SECONDS)
        if copies := self.copies.get(group):
            known = replace(known, records={**known.records, **{name: copy.record for name, copy in copies.items()}})
        return known


def placement(bundle: Bundle) -> Placement:
    """Return where every signal is recorded. Alerts about signals that do not exist are left out."""
    readers: dict[str, dict[str, None]] = {}
    alerts = [alert for alert in bundle.alerts.values() if all(name in bundle.signals for name in alert.signals)]
    first = set()
    for alert in alerts:
        first.add(group := group_of(alert, bundle))
        for name in alert.signals:
            readers.setdefault(name, {})[group] = None
    groups = {
        name: signal.group or (name if name in first else next(iter(readers.get(name, ())), OTHERS))
        for name, signal in bundle.signals.items()
    }
    copies: dict[str, dict[str, Signal]] = {}
    for name, signal in bundle.signals.items():
        for group in readers.get(name, ()):
            if group != groups[name]:
                copies.setdefault(group, {})[name] = _copy(signal, group, bundle)
    return Placement(groups, copies)


def group_of(alert: Alert, bundle: Bundle) -> str:
    """Return the group of an alert: that of its first signal."""
    signal = bundle.signals[alert.signals[0]]
    return signal.group or signal.name


def _copy(signal: Signal, group: str, bundle: Bundle) -> Signal:
    """Return the signal as another group records it: by its expression, or over a window if that reads recordings."""
    expr = signal.expr
    if signal.group or signal.reads is not None:
        interval = SLO_INTERVAL_SECONDS if signal.group else bundle.settings.evaluation_interval_seconds
        expr = f"last_over_time({signal.record}[{duration(_EVALUATIONS_BRIDGED * interval)}])"
    return replace(signal, name=f"{signal.name}:for_{group}", expr=expr)
