"""Who is told of an alert, when, and what could keep it from being told: the routing tree walked by hand."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from jelmon_generators.compile.delivery import hops
from jelmon_generators.compile.links import common_labels
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.windows import covers, mutes
from jelmon_generators.promql.expressions import duration


def completed(made: Compilation, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels as the alert would have them, when only its name or ``rule_id`` is given."""
    for one in made.compiled:
        if labels.get("rule_id") == one.alert.rule_id or labels.get("alertname") == one.alert.name:
            return {"alertname": one.alert.name, **common_labels(one.alert), **labels}
    return dict(labels)


def explain(made: Compilation, given: Mapping[str, str], moment: datetime) -> list[str]:
    """Lines for a person."""
    labels = completed(made, given)
    lines = ["labels:   " + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))]
    lines.append(f"at:       {moment.isoformat(timespec='minutes')}")
    for hop in hops(made.routing.root, labels):
        channels = made.routing.receivers[hop.receiver]
        known = [made.bundle.channels[name] for name in channels]
        lines.append("")
        lines.append(f"receiver: {hop.receiver}")
        lines.append("  by:     " + (" > ".join(hop.path) or "the root route"))
        lines.append("  tells:  " + (", ".join(f"{one.name} ({one.type})" for one in known) or "nobody"))
        group = ", ".join(f"{name}={labels.get(name, '')!r}" for name in hop.group_by)
        lines.append(f"  group:  {group or 'all in one'}")
        lines.append(
            f"  when:   {duration(hop.group_wait)} after it fires; new alerts of the group within"
            f" {duration(hop.group_interval)}; again every {duration(hop.told_again_after)}"
        )
        open_now = [name for name in hop.muted_in if mutes(made.bundle.windows[name], moment)]
        if open_now:
            lines.append(f"  muted:  now, by the window {', '.join(open_now)}")
        elif hop.muted_in:
            lines.append(f"  muted:  not now; in the window {', '.join(hop.muted_in)}")
    lines.append("")
    lines.extend(_silent(made, labels, moment))
    return lines


def _silent(made: Compilation, labels: Mapping[str, str], moment: datetime) -> Iterator[str]:
    """What keeps the alert from being told, now or while another fires."""
    found = False
    for window in made.bundle.windows.values():
        if occurrence := covers(window, moment, labels):
            found = True
            yield f"silenced: by the window {window.name} until {occurrence.ends.isoformat(timespec='minutes')}"
    for one in made.routing.inhibitions:
        if one.target == labels.get("rule_id"):
            found = True
            same = f" for the same {', '.join(one.equal)}" if one.equal else ""
            yield f"held back: while {made.bundle.alerts[one.source].name} fires{same}"
    if not found:
        yield "nothing keeps it back"
