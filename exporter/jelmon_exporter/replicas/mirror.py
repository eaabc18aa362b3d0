"""Brings what other replicas committed into the view: only changes, and no more often than needed."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from jelmon_exporter.series.cells import Cell
from jelmon_exporter.serving.view import Part, View
from jelmon_exporter.state.store import Seen, StateStore, StoreUnavailableError

logger = logging.getLogger(__name__)

LEAST_SECONDS = 0.5
BACKGROUND_SECONDS = 5.0


class Mirror:
    """Reads the partitions that this replica does not own."""

    def __init__(
        self,
        store: StateStore,
        view: View,
        partitions: int,
        *,
        up: Cell,
        extra_parts: Mapping[int, Part] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read ``partitions``, and ``extra_parts``: other slots of the store with their names in the view.

        ``up`` is the gauge of the store: one that cannot be read is reported before anything is counted.
        """
        self._store = store
        self._up = up
        self._view = view
        self._extra_parts = extra_parts or {}
        self._parts: dict[int, Part] = {
            **{partition: partition for partition in range(partitions)},
            **self._extra_parts,
        }
        self._clock = clock
        self._excluded: set[int] = set()
        self._seen: dict[int, Seen] = {}
        self._read = float("-inf")
        self._lock = asyncio.Lock()

    def exclude(self, partition: int) -> None:
        """Stop reading a partition: it is counted here, and its commits reach the view directly."""
        self._excluded.add(partition)
        self._seen.pop(partition, None)

    def include(self, partition: int) -> None:
        """Read a partition again: another replica counts it."""
        self._excluded.discard(partition)
        self._seen.pop(partition, None)

    async def refresh(self) -> None:
        """Read changes, unless that was done within `LEAST_SECONDS`. If the store does not answer, nothing changes."""
        if not self._store.shared:
            return
        async with self._lock:
            if self._clock() < self._read + LEAST_SECONDS:
                return
            try:
                await asyncio.gather(*(self._refresh(part) for part in self._parts if part not in self._excluded))
                if not self._excluded - self._extra_parts.keys():  # an owner knows whether writing works
                    self._up.set(1)
            except StoreUnavailableError as error:
                if self._up.value != 0:
                    logger.error("%s; retrying until it answers", error)
                self._up.set(0)
            self._read = self._clock()

    async def _refresh(self, partition: int) -> None:
        changes = await self._store.changes_since(partition, self._seen.get(partition))
        if changes is None or partition in self._excluded:  # the owner may have changed meanwhile
            return
        seen, snapshot, everything = changes
        self._seen[partition] = seen
        if everything:
            self._view.replace(self._parts[partition], snapshot.series)
        else:
            self._view.update(self._parts[partition], snapshot.series)
        self._view.declare(partition, snapshot.declared)

    async def run(self) -> None:
        """Keep the view warm between scrapes."""
        while True:
            await self.refresh()
            await asyncio.sleep(BACKGROUND_SECONDS)
