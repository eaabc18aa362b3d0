"""Escalations: levels that rise, fall on evaluations and notify somebody; none is unused."""

from jelmon_generators.checks import ESCALATION, REACH, UNUSED
from jelmon_generators.model.definitions import Bundle, Escalation
from jelmon_generators.promql.expressions import duration


def check(bundle: Bundle, *, complete: bool) -> None:
    """Report faulty escalations. ``complete``: every alert could be read, so that unused means unused."""
    interval = bundle.settings.evaluation_interval_seconds
    used = {alert.escalation for alert in bundle.alerts.values()}
    for escalation in bundle.escalations.values():
        place = escalation.fields.place
        if complete and escalation.name not in used:
            UNUSED.report(
                place, f"no alert uses the escalation {escalation.name!r}", hint="name it in an alert, or delete it"
            )
        if not escalation.levels:
            ESCALATION.report(place, f"the escalation {escalation.name!r} has no levels")
        _check_levels(escalation, interval)
        _check_reach(escalation, bundle)


def _check_levels(escalation: Escalation, interval: float) -> None:
    before = 0.0
    for level in escalation.levels:
        place = level.fields.at("minutes")
        if level.minutes <= before:
            ESCALATION.report(place, "minutes must rise from level to level")
        if level.minutes * 60 % interval:
            ESCALATION.report(
                place,
                f"{level.minutes:g} minutes are not a multiple of the evaluation interval",
                hint=f"levels are due when rules are evaluated, every {duration(interval)}",
            )
        before = level.minutes


def _check_reach(escalation: Escalation, bundle: Bundle) -> None:
    """No level may be empty, and at least one must notify a person."""
    for level in escalation.levels:
        if not level.channels:
            REACH.report(level.fields.place, "the level notifies nobody", hint="channels: [...]")
    reaching = any(
        name in bundle.channels and bundle.channels[name].type != "log"
        for level in escalation.levels
        for name, _ in level.channels
    )
    if escalation.levels and not reaching and all(level.channels for level in escalation.levels):
        REACH.report(
            escalation.fields.place,
            f"the escalation {escalation.name!r} never reaches anybody",
            hint="nobody reads a log at night: add a channel of another type",
        )
