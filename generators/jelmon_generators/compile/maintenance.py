"""Maintenance as Prometheus knows it: one recording for each window, and what objectives leave out because of it.

When a window is open is computed where time zones and calendars are known (the responder, by the occurrence that is
open or comes next); the rules only compare its start and end with the clock. The labels that a window is about become
labels of its recording, with their names in ``scope``, so that rules ask for a scope and never for a window.
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
    """The group that says which windows are open; none without windows that are about labels."""
    windows = [window for window in bundle.windows.values() if window.matchers]
    if not windows:
        return []
    interval = bundle.settings.evaluation_interval_seconds
    rules = tuple(recording(window, interval) for window in windows)
    return [Group(GROUP, rules, ("rules/windows.yaml",), (), interval)]


def recording(window: Window, interval: float) -> Recording:
    """1 while the window is open, else 0. It opens one evaluation early: who reads it elsewhere is never too late."""
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
    """The value of the label ``scope`` for a window about these labels."""
    return ",".join(sorted(names))


def scopes(by: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The labels that a window may be about to concern series with the labels ``by`` as a whole."""
    names = sorted(by)
    return [some for size in range(1, len(names) + 1) for some in combinations(names, size)]


def concerns(window: Maintenance, by: tuple[str, ...]) -> bool:
    """Whether the window is left out of what is counted by these labels."""
    return tuple(name for name, _ in window.matchers) in scopes(by)


def excluded(by: tuple[str, ...], lookback: str) -> str:
    """PromQL to put behind a vector with the labels ``by``: without what was maintained at any time in ``lookback``."""
    return "".join(
        f"\nunless on ({', '.join(names)})\n"
        f'  (max_over_time({MAINTENANCE_ACTIVE}{{scope="{scope_of(iter(names))}"}}[{lookback}]) == 1)'
        for names in scopes(by)
    )
