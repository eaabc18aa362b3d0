"""What other replicas committed, brought into our view: changes only, and never more often than needed."""

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
    """Reads the partitions that we do not own."""

    def __init__(
        self,
        store: StateStore,
        view: View,
        partitions: int,
        *,
        up: Cell,
        besides: Mapping[int, Part] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``up`` is the gauge of the store: a store that cannot be read is told before anything is counted.

        ``besides`` are slots of the store that are no partitions, and their names in the view.
        """
        self._store = store
        self._up = up
        self._view = view
        self._besides = besides or {}
        self._parts: dict[int, Part] = {**{one: one for one in range(partitions)}, **self._besides}
        self._clock = clock
        self._owned: set[int] = set()
        self._seen: dict[int, Seen] = {}
        self._read = float("-inf")
        self._lock = asyncio.Lock()

    def own(self, partition: int) -> None:
        """We count this partition ourselves from now on: its commits reach the view directly."""
        self._owned.add(partition)
        self._seen.pop(partition, None)

    def disown(self, partition: int) -> None:
        """Somebody else counts this partition from now on."""
        self._owned.discard(partition)
        self._seen.pop(partition, None)

    async def refresh(self) -> None:
        """Read what is new, unless that was done a moment ago. A store that does not answer changes nothing."""
        if not self._store.shared:
            return
        async with self._lock:
            if self._clock() < self._read + LEAST_SECONDS:
                return
            try:
                await asyncio.gather(*(self._refresh(one) for one in self._parts if one not in self._owned))
                if not self._owned - self._besides.keys():  # who owns a partition knows whether writing works
                    self._up.set(1)
            except StoreUnavailableError as error:
                if self._up.value != 0:
                    logger.error("%s; trying again until it answers", error)
                self._up.set(0)
            self._read = self._clock()

    async def _refresh(self, partition: int) -> None:
        found = await self._store.changes_since(partition, self._seen.get(partition))
        if found is None or partition in self._owned:  # it may have become ours while we waited
            return
        seen, snapshot, everything = found
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
