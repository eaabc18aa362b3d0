"""Inhibition: no alert inhibits itself, directly or through others."""

from jelmon_generators.checks import INHIBITION
from jelmon_generators.model.definitions import Bundle


def check(bundle: Bundle) -> None:
    """Report cycles."""
    for alert in bundle.alerts.values():
        for name, place in alert.inhibited_by:
            if name == alert.rule_id:
                INHIBITION.report(place, "an alert cannot inhibit itself")
            elif alert.rule_id in _inhibitors(name, bundle):
                INHIBITION.report(place, f"{alert.rule_id} and {name} inhibit each other", hint="remove one direction")


def _inhibitors(rule_id: str, bundle: Bundle) -> set[str]:
    """Return every alert that inhibits ``rule_id``, directly or through others."""
    inhibitors: set[str] = set()
    waiting = [rule_id]
    while waiting:
        for name, _ in bundle.alerts[waiting.pop()].inhibited_by:
            if name in bundle.alerts and name not in inhibitors:
                inhibitors.add(name)
                waiting.append(name)
    return inhibitors
