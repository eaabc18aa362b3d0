"""Takes the samples of losing replicas out of a request."""

from dataclasses import dataclass, replace

import numpy as np

from jelmon_store.ha.leases import HaLeases, Source
from jelmon_store.series.cache import SLOT_BITS
from jelmon_store.wire.decoded import Decoded


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much of a request was left out, as another replica is kept."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0


class HaDeduplication:
    """Reads the labels of HA pairs, and judges their samples."""

    def __init__(self, leases: HaLeases, *, cluster_label: str, replica_label: str) -> None:
        self._leases = leases
        self._cluster = cluster_label
        self._replica = replica_label

    def take_source(self, tenant: str, labels: dict[str, str]) -> int:
        """Remove the label of the replica; return the number of the source, 0 without both labels."""
        if self._cluster not in labels or self._replica not in labels:
            return 0
        return self._leases.number_of(Source(tenant, labels[self._cluster], labels.pop(self._replica)))

    def due(self, decoded: Decoded) -> dict[int, tuple[int, int]]:
        """Return the sources whose leases must be extended, with the times of their oldest and newest sample."""
        found = {}
        for number in _sources(decoded):
            times = [
                *decoded.times[decoded.codes >> SLOT_BITS == number].tolist(),
                *(row.time for row in decoded.histograms if row.code >> SLOT_BITS == number),
            ]
            if times and self._leases.is_due(number, max(times)):
                found[number] = (min(times), max(times))
        return found

    async def extend(self, due: dict[int, tuple[int, int]]) -> None:
        """Extend leases.

        Raises:
            SourceError: the database does not respond.
        """
        for number, (oldest, newest) in due.items():
            await self._leases.extend(number, oldest, newest)

    def drop(self, decoded: Decoded) -> tuple[Decoded, Dropped]:
        """Return a request without what losing replicas sent, and how much that was."""
        numbers = _sources(decoded)
        if not numbers:
            return decoded, Dropped()
        sources = decoded.codes >> SLOT_BITS
        keep = np.ones(len(decoded.codes), np.bool_)
        for number in numbers:
            mine = sources == number
            if mine.any():
                keep[mine] = self._leases.keeps(number, decoded.times[mine])
        histograms = [row for row in decoded.histograms if self._keeps(row.code, row.time)]
        exemplars = [row for row in decoded.exemplars if self._keeps(row.code, row.time)]
        dropped = Dropped(
            int((~keep).sum()), len(decoded.histograms) - len(histograms), len(decoded.exemplars) - len(exemplars)
        )
        kept = replace(
            decoded,
            codes=decoded.codes[keep],
            times=decoded.times[keep],
            bits=decoded.bits[keep],
            histograms=histograms,
            exemplars=exemplars,
        )
        return kept, dropped

    def _keeps(self, code: int, time: int) -> bool:
        number = code >> SLOT_BITS
        return not number or bool(self._leases.keeps(number, np.array([time], np.int64))[0])


def _sources(decoded: Decoded) -> list[int]:
    """Return the numbers of the sources in a request."""
    found: set[int] = set()
    if len(decoded.codes) and int(decoded.codes.max()) >> SLOT_BITS:
        found.update(np.unique(decoded.codes >> SLOT_BITS).tolist())
    found.update(row.code >> SLOT_BITS for row in decoded.histograms)
    found.discard(0)
    return sorted(found)
