"""Alert thresholds and windows for panels, so that each number is written in ``rules/`` only."""

import re
from collections.abc import Iterator, Mapping

from jelmon_generators.dashboards.fields import Json, steps
from jelmon_generators.model.definitions import Bundle

_RANGE = re.compile(r"\[(\w+)\]")


class Limits(Mapping[str, float]):
    """``rule_id`` -> threshold of the alert's first condition. Undefined alerts get no line.

    ``windows`` holds the ranges in the expression of that condition's signal. A panel that is compared with the alert
    uses the same, or its dashed line would not be where the alert fires.
    """

    def __init__(self, thresholds: Mapping[str, float], windows: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._thresholds = dict(thresholds)
        self._windows = dict(windows or {})

    @classmethod
    def of(cls, bundle: Bundle) -> "Limits":
        """Return the thresholds in the definitions."""
        limits, windows = {}, {}
        for alert in bundle.alerts.values():
            leaf = alert.condition.leaves[0]
            if leaf.panel_threshold is not None:
                limits[alert.rule_id] = leaf.panel_threshold
            if leaf.signal in bundle.signals:
                windows[alert.rule_id] = tuple(dict.fromkeys(_RANGE.findall(bundle.signals[leaf.signal].expr)))
        return cls(limits, windows)

    def __getitem__(self, rule_id: str) -> float:
        return self._thresholds[rule_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._thresholds)

    def __len__(self) -> int:
        return len(self._thresholds)

    def window(self, rule_id: str, otherwise: str, *, index: int = 0) -> str:
        """Return a window of the alert's signal; ``otherwise`` without the alert."""
        windows = self._windows.get(rule_id, ())
        return windows[index] if index < len(windows) else otherwise

    def lines(self, **colours: str) -> list[Json]:
        """Return dashed lines of a graph: a colour for each ``rule_id``."""
        return self.levels("transparent", **colours)

    def levels(self, base: str, *fixed: tuple[float, str], **colours: str) -> list[Json]:
        """Return threshold steps: ``base``, the fixed bounds, and a colour from the threshold of each named alert."""
        bounds = [(self[rule_id], colour) for rule_id, colour in colours.items() if rule_id in self]
        distinct = dict([*bounds, *fixed])  # two alerts may have the same threshold
        return steps(base, *sorted(distinct.items()))

    def approaching(self, base: str, rule_id: str, *, warning: str, critical: str, ok: str) -> list[Json]:
        """Return threshold steps: ok from 0, warning from half of the threshold, critical from it."""
        limit = self.get(rule_id)
        return steps(base, (0, ok), *([(limit / 2, warning), (limit, critical)] if limit is not None else []))

    def share(self, rule_id: str) -> str:
        """Return the threshold as a percentage; "its limit" without an alert."""
        return f"{self[rule_id]:.0%}".replace("%", " %") if rule_id in self else "its limit"

    def minutes(self, rule_id: str) -> str:
        """Return the threshold in minutes."""
        return f"{self[rule_id] / 60:g} minutes" if rule_id in self else "its limit"

    def number(self, rule_id: str) -> str:
        """Return the threshold as a number."""
        return f"{self[rule_id]:g}" if rule_id in self else "its limit"
