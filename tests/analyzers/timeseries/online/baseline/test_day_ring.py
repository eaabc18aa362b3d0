"""Rings of days when clocks change."""

import numpy as np
import pytest

from jelmon_analyzers.timeseries.online.baseline.day_ring import move_blocks


@pytest.mark.parametrize("blocks", [4, -4])
def test_what_was_learnt_moves_with_the_clock(blocks: int) -> None:
    """Block by block, across midnight; nothing is known of what would come from the future."""
    days, newest = np.arange(7.0 * 96).reshape(7, 96, 1), 2
    line = np.concatenate([days[3:], days[:3]]).ravel()  # oldest first
    expected = [line[at + blocks] if 0 <= at + blocks < len(line) else np.nan for at in range(len(line))]

    move_blocks(days, newest, blocks)

    np.testing.assert_array_equal(np.concatenate([days[3:], days[:3]]).ravel(), expected)
