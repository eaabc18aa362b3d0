"""Explain who is notified of an alert, when, and what could suppress the notification."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from jelmon_generators.compile.delivery import hops
from jelmon_generators.compile.links import common_labels
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.windows import covers, mutes
from jelmon_generators.promql.expressions import duration


def completed(made: Compilation, labels: Mapping[str, str]) -> dict[str, str]:
    """Complete the labels of an alert that is given by its name or ``rule_id``."""
    for compiled in made.compiled:
        if labels.get("rule_id") == compiled.alert.rule_id or labels.get("alertname") == compiled.alert.name:
            return {"alertname": compiled.alert.name, **common_labels(compiled.alert), **labels}
    return dict(labels)


def explain(made: Compilation, given: Mapping[str, str], moment: datetime) -> list[str]:
    """Return the explanation, line by line."""
    labels = completed(made, given)
    lines = ["labels:    " + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))]
    lines.append(f"at:        {moment.isoformat(timespec='minutes')}")
    for hop in hops(made.routing.root, labels):
        channels = made.routing.receivers[hop.receiver]
        known = [made.bundle.channels[name] for name in channels]
        lines.append("")
        lines.append(f"receiver:  {hop.receiver}")
        lines.append("  route:    " + (" > ".join(hop.path) or "root"))
        lines.append("  channels: " + (", ".join(f"{channel.name} ({channel.type})" for channel in known) or "none"))
        group = ", ".join(f"{name}={labels.get(name, '')!r}" for name in hop.group_by)
        lines.append(f"  group:    {group or 'all alerts in one group'}")
        lines.append(
            f"  timing:   after {duration(hop.group_wait)}; new alerts of the group after"
            f" {duration(hop.group_interval)}; repeated every {duration(hop.told_again_after)}"
        )
        open_now = [name for name in hop.muted_in if mutes(made.bundle.windows[name], moment)]
        if open_now:
            lines.append(f"  muted:    now, by window {', '.join(open_now)}")
        elif hop.muted_in:
            lines.append(f"  muted:    not now, but in window {', '.join(hop.muted_in)}")
    lines.append("")
    lines.extend(_silent(made, labels, moment))
    return lines


def _silent(made: Compilation, labels: Mapping[str, str], moment: datetime) -> Iterator[str]:
    """Yield what suppresses the alert now or while another fires."""
    notified = False
    for window in made.bundle.windows.values():
        if occurrence := covers(window, moment, labels):
            notified = True
            yield f"silenced: by window {window.name} until {occurrence.ends.isoformat(timespec='minutes')}"
    for inhibition in made.routing.inhibitions:
        if inhibition.target == labels.get("rule_id"):
            notified = True
            same = f" for the same {', '.join(inhibition.equal)}" if inhibition.equal else ""
            yield f"inhibited: while {made.bundle.alerts[inhibition.source].name} fires{same}"
    if not notified:
        yield "not suppressed"
