"""A bar chart of a series for the terminal."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BARS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 8
"""Lines of the chart; each has eight steps."""


def chart(values: Floats, points: list[int], *, width: int) -> list[str]:
    """Return the lines of a chart: medians of groups of rows, and a mark under each group with a change point.

    ``values`` has at least one finite value; ``width`` is in characters.
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(len(f"{low:g}"), len(f"{high:g}")) + 1
    groups = min(len(values), width - margin)
    group_of = np.minimum(np.arange(len(values)) * groups // len(values), groups - 1)
    heights = [_height(values[group_of == group], low, high) for group in range(groups)]
    lines = []
    for row in range(_HEIGHT - 1, -1, -1):
        scale = f"{high:g}" if row == _HEIGHT - 1 else f"{low:g}" if row == 0 else ""
        lines.append(f"{scale:>{margin - 1}} " + "".join(_BARS[min(8, max(0, height - 8 * row))] for height in heights))
    marked = {int(group_of[point]) for point in points}
    if marked:
        lines.append(" " * margin + "".join("^" if group in marked else " " for group in range(groups)))
    return [line.rstrip() for line in lines]


def _height(group: Floats, low: float, high: float) -> int:
    """Return the height of a bar in steps; 0 if all its values are missing."""
    known = group[np.isfinite(group)]
    if not len(known):
        return 0
    share = (float(np.median(known)) - low) / (high - low) if high > low else 0.0
    return 1 + round(share * (_HEIGHT * 8 - 1))
