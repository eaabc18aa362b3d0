"""The routing tree walked by hand: which routes an alert takes, as Alertmanager would decide."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jelmon_generators.compile.routing import RoutingNode


@dataclass(frozen=True, slots=True)
class Hop:
    """A route that an alert takes, with the timing in effect there."""

    path: tuple[str, ...]
    receiver: str
    group_by: tuple[str, ...]
    group_wait: float
    group_interval: float
    repeat_interval: float
    muted_in: tuple[str, ...]

    @property
    def told_again_after(self) -> float:
        """The time between two notifications of an unchanged group."""
        return again_after(self.repeat_interval, self.group_interval)


def again_after(repeat_interval: float, group_interval: float) -> float:
    """Return when an unchanged group is notified again: at its first flush after more than ``repeat_interval``.

    Alertmanager counts from when the notification was sent, which is after the flush: at a flush exactly one interval
    later it is not over.
    """
    return (math.floor(repeat_interval / group_interval) + 1) * group_interval


def hops(root: RoutingNode, labels: Mapping[str, str]) -> list[Hop]:
    """Return the routes of an alert as Alertmanager determines them: the deepest that match, siblings in order."""
    start = Hop((), root.receiver, (), 30.0, 300.0, 4 * 3600.0, ())
    return list(_walk(root, labels, start))


def _walk(node: RoutingNode, labels: Mapping[str, str], above: Hop) -> Iterator[Hop]:
    here = Hop(
        (*above.path, " ".join(map(str, node.matchers))) if node.matchers else above.path,
        node.receiver,
        above.group_by if node.group_by is None else node.group_by,
        above.group_wait if node.group_wait is None else node.group_wait,
        above.group_interval if node.group_interval is None else node.group_interval,
        above.repeat_interval if node.repeat_interval is None else node.repeat_interval,
        node.muted_in,  # intervals of a parent are not inherited
    )
    matched = False
    for child in node.routes:
        if all(matcher.matches(labels) for matcher in child.matchers):
            yield from _walk(child, labels, here)
            matched = True
            if not child.goes_on:
                break
    if not matched:
        yield here
