"""One request on its way into the tables, and the split between samples that are new for certain and the rest."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jelmon_store.series.cache import SLOT_MASK, SeriesCache
from jelmon_store.wire.decoded import Decoded, Metadata

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: all of it is stored, some of it was before."""

    samples: int
    histograms: int
    exemplars: int
    duplicates: int


@dataclass(slots=True, eq=False)
class Submission:
    """Arrays of the samples of one request, with their series as ids. ``fast``: certainly newer than all stored."""

    slots: Ints
    series_ids: Ints
    groups: Ints
    times: Ints
    bits: NDArray[np.uint64]
    kept: NDArray[np.bool_]
    fast: NDArray[np.bool_]
    repeated: int  # samples left out, because the request has them twice
    losses: int  # see `Writer`
    histograms: list[tuple[int, int, bytes]] = field(default_factory=list)  # series id, time, payload
    exemplars: list[tuple[int, int, int, str]] = field(default_factory=list)  # series id, time, bits, labels
    starts: list[tuple[int, int, int]] = field(default_factory=list)  # slot, series id, start
    metadata: dict[str, Metadata] = field(default_factory=dict)
    metadata_of: dict[int, Metadata] = field(default_factory=dict)
    done: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    group_set: frozenset[int] = frozenset()

    @property
    def weight(self) -> int:
        """How much of the queue it takes: its rows, and its larger ones by size."""
        return (
            len(self.times)
            + sum(1 + len(payload) // 40 for _, _, payload in self.histograms)
            + sum(1 + len(labels) // 40 for _, _, _, labels in self.exemplars)
        )


def accept(decoded: Decoded, cache: SeriesCache, *, losses: int, exact: bool) -> Submission:
    """Raise the watermarks of the series and return the samples, split.

    The watermark rises here, not after the commit: of two copies of a request that are in flight together, the second
    is not newer. If the transaction fails, the sender's next attempt is not newer either and takes the exact way,
    which is right, only slower. ``exact``: the sender says that it repeats the request.
    """
    slots, times, bits = decoded.codes & SLOT_MASK, decoded.times, decoded.bits
    repeated = 0
    if not _distinct(slots):
        keep = _first_of_equal(slots, times)
        repeated = len(times) - len(keep)
        slots, times, bits = slots[keep], times[keep], bits[keep]
    fast = cache.known[slots] & (times > cache.watermark[slots])
    fast &= not exact
    np.maximum.at(cache.watermark, slots, times)
    groups = cache.group[slots].astype(np.int64)
    submission = Submission(
        slots,
        cache.series_id[slots],
        groups,
        times,
        bits,
        cache.kept[slots],
        fast,
        repeated,
        losses,
        metadata=decoded.metadata,
        metadata_of=decoded.metadata_of,
    )
    rare = [
        *(row.code & SLOT_MASK for row in decoded.histograms),
        *(row.code & SLOT_MASK for row in decoded.exemplars),
    ]
    if rare:
        submission.groups = np.concatenate([groups, cache.group[rare].astype(np.int64)])
    submission.group_set = frozenset(np.unique(submission.groups).tolist())
    submission.histograms = [
        (int(cache.series_id[row.code & SLOT_MASK]), row.time, row.payload) for row in decoded.histograms
    ]
    submission.exemplars = [
        (int(cache.series_id[row.code & SLOT_MASK]), row.time, row.bits, row.labels) for row in decoded.exemplars
    ]
    for code, start in decoded.starts:
        slot = code & SLOT_MASK
        if cache.start[slot] != start:
            submission.starts.append((slot, int(cache.series_id[slot]), start))
    return submission


def _distinct(slots: Ints) -> bool:
    """Return whether no series appears twice."""
    if len(slots) < 2:
        return True
    ordered = np.sort(slots)
    return bool((ordered[1:] != ordered[:-1]).all())


def _first_of_equal(slots: Ints, times: Ints) -> Ints:
    """Return the positions of samples, without those whose series and time came before in the request."""
    order = np.lexsort((np.arange(len(slots)), times, slots))
    same = (np.diff(slots[order]) == 0) & (np.diff(times[order]) == 0)
    return np.sort(np.delete(order, np.flatnonzero(same) + 1))
