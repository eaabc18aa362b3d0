"""Sums of what happened at a stage, by bucket of time, so that a window is a sum of buckets."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BUCKETS_PER_WINDOW = 60

# columns of a bucket: seconds, card-seconds, counts
(SATURATED, WAITING, BUSY, BLOCKED, LOCAL_LOSS, CONTENDED, UNAVAILABLE, ARRIVALS, STARTS, FINISHES) = range(10)
FIELDS = 10


class Bucket:
    """The sums of one span of time."""

    __slots__ = ("loss_by_blocker", "loss_by_competitor", "number", "sums")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sums = [0.0] * FIELDS
        self.loss_by_blocker: dict[int, float] = {}
        """Card-seconds lost here because of a stage downstream that blocks this one."""
        self.loss_by_competitor: dict[int, float] = {}
        """Card-seconds of waiting here while a shared worker served another stage."""


class WindowSums(NamedTuple):
    """The sums of one stage over a window."""

    sums: NDArray[np.float64]
    loss_by_blocker: dict[int, float]
    loss_by_competitor: dict[int, float]
    queue_by_bucket: NDArray[np.float64]
    """Mean queue length of each complete bucket, oldest first."""


def sum_window(buckets: list[Bucket], *, width: float, begin: float, now: float) -> WindowSums:
    """Return the sums from ``begin`` to ``now``; the bucket that the window cuts counts in proportion.

    ``buckets`` are all that overlap the window, oldest first; ``width`` is their length in seconds.
    """
    table = np.array([bucket.sums for bucket in buckets])
    shares = np.ones(len(buckets))
    oldest = buckets[0]
    is_cut = oldest.number * width < begin
    if is_cut:
        covered = min((oldest.number + 1) * width, now) - oldest.number * width
        shares[0] = (min((oldest.number + 1) * width, now) - begin) / covered
    return WindowSums(
        shares @ table,
        _weighted_sum((bucket.loss_by_blocker for bucket in buckets), shares),
        _weighted_sum((bucket.loss_by_competitor for bucket in buckets), shares),
        table[1 if is_cut else 0 : -1, WAITING] / width,
    )


def _weighted_sum(losses: Iterable[dict[int, float]], shares: NDArray[np.float64]) -> dict[int, float]:
    total: dict[int, float] = {}
    for by_stage, share in zip(losses, shares, strict=True):
        for stage, loss in by_stage.items():
            total[stage] = total.get(stage, 0.0) + loss * float(share)
    return total
