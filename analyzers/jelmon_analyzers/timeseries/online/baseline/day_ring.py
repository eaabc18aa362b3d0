"""Rings of days: what happens to them when clocks change."""

import numpy as np
from numpy.typing import NDArray


def move_blocks(days: NDArray[np.floating], newest: int, blocks: int) -> None:
    """Move the content of a ring (days by blocks by series) to earlier blocks in place, also across midnight.

    When clocks go forward by n blocks, a local time comes n blocks earlier. Blocks that would come from after the day
    at index ``newest`` become NaN.
    """
    number = len(days)
    order = [(newest + 1 + index) % number for index in range(number)]
    line = days[order].reshape(-1, days.shape[-1])
    moved = np.full_like(line, np.nan)
    if blocks >= 0:
        moved[: len(line) - blocks] = line[blocks:]
    else:
        moved[-blocks:] = line[:blocks]
    days[order] = moved.reshape(number, *days.shape[1:])
