"""Maintenance in Prometheus: one recording for each window, and what objectives exclude because of it.

The responder, which knows time zones and calendars, exports the start and end of the current or next occurrence; the
rules only compare them with the clock. The labels that a window matches become labels of its recording, and their
names its ``scope``, so that rules select a scope and never a window.
"""

from collections.abc import Iterator
from itertools import combinations

from jelmon.bundle.maintenance import Maintenance
from jelmon.catalogue import MAINTENANCE_END, MAINTENANCE_START
from jelmon_generators.compile.rules import Group, Recording
from jelmon_generators.model.definitions import Bundle, Window
from jelmon_generators.promql.expressions import number
from jelmon_generators.promql.series import MAINTENANCE_ACTIVE

GROUP = "maintenance-windows"  # no signal can have this name


def groups(bundle: Bundle) -> list[Group]:
    """Return the group that records which windows are open, if any window has matchers."""
    windows = [window for window in bundle.windows.values() if window.matchers]
    if not windows:
        return []
    interval = bundle.settings.evaluation_interval_seconds
    rules = tuple(recording(window, interval) for window in windows)
    return [Group(GROUP, rules, ("rules/windows.yaml",), (), interval)]


def recording(window: Window, interval: float) -> Recording:
    """Return a rule: 1 while the window is open, else 0. It opens one evaluation early, for readers in other groups."""
    selector = f'{{window="{window.name}"}}'
    expr = (
        "max without (instance, pod) (\n"
        f"  (time() >= bool {MAINTENANCE_START.name}{selector} - {number(interval)})\n"
        f"  * (time() < bool {MAINTENANCE_END.name}{selector})\n)"
    )
    scope = scope_of(name for name, _ in window.matchers)
    return Recording(
        MAINTENANCE_ACTIVE, expr, {"instance": "all", "scope": scope, "window": window.name, **dict(window.matchers)}
    )


def scope_of(names: Iterator[str]) -> str:
    """Return the value of the label ``scope`` for a window with these labels."""
    return ",".join(sorted(names))


def scopes(by: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return each set of labels by which a window can cover whole series with the labels ``by``."""
    names = sorted(by)
    return [some for size in range(1, len(names) + 1) for some in combinations(names, size)]


def concerns(window: Maintenance, by: tuple[str, ...]) -> bool:
    """Return whether the window is excluded from what is counted by these labels."""
    return tuple(name for name, _ in window.matchers) in scopes(by)


def excluded(by: tuple[str, ...], lookback: str) -> str:
    """Return PromQL to append to a vector with the labels ``by``: it drops series in maintenance in ``lookback``."""
    return "".join(
        f"\nunless on ({', '.join(names)})\n"
        f'  (max_over_time({MAINTENANCE_ACTIVE}{{scope="{scope_of(iter(names))}"}}[{lookback}]) == 1)'
        for names in scopes(by)
    )
