"""State in memory: after a restart everything that the stream still has is counted again."""

import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from jelmon_exporter.series.cells import Key, Value
from jelmon_exporter.state.model import Changes, Declaration, Position, Snapshot, Unreadable
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, Seen


@dataclass(slots=True)
class _Kept:
    claim: Claim = field(default_factory=lambda: Claim(0, ""))
    position: Position = field(default_factory=Position)
    series: dict[Key, Value] = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)
    declared: dict[str, Declaration] = field(default_factory=dict)
    ids: deque[tuple[float, list[str]]] = field(default_factory=deque)


class MemoryStore:
    """A `StateStore` without a server."""

    name = "memory"
    shared = False
    renew_seconds = 2.0

    def __init__(self) -> None:
        self._partitions: dict[int, _Kept] = {}

    async def acquire(self, partition: int) -> Claim:
        kept = self._partitions.setdefault(partition, _Kept())
        kept.claim = Claim(kept.claim.epoch + 1, str(uuid.uuid4()))
        return kept.claim

    async def attend(self, replica: str, *, leaving: bool = False) -> list[str]:
        return [] if leaving else [replica]

    async def renew(self, partition: int, claim: Claim) -> bool:
        return self._partitions[partition].claim == claim

    async def release(self, partition: int, claim: Claim) -> None:
        pass

    async def changes_since(self, partition: int, seen: Seen | None) -> tuple[Seen, Snapshot, bool] | None:
        kept = self._partitions.setdefault(partition, _Kept())
        now = Seen(kept.claim.epoch, kept.position.version)
        return None if now == seen else (now, await self.load(partition), True)

    async def load(self, partition: int) -> Snapshot:
        kept = self._partitions.setdefault(partition, _Kept())
        return Snapshot(kept.position, dict(kept.series), dict(kept.entries), dict(kept.declared), list(kept.ids))

    def place(self, partition: int, part: str) -> str:
        return f"partition {partition}, {part}"

    async def set_aside(self, partition: int, faults: list[Unreadable]) -> None:
        pass

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        kept = self._partitions.setdefault(partition, _Kept())
        if kept.claim != claim:
            raise FencedError(f"partition {partition} has a newer owner")
        if kept.position.version == position.version:
            return
        if whole:
            kept.series, kept.entries, kept.declared, kept.ids = {}, {}, {}, deque()
        elif kept.position.version != position.version - 1:
            raise FellBackError(f"partition {partition} is at version {kept.position.version}")
        kept.position = position
        _merge(kept.series, changes.series)
        _merge(kept.entries, changes.entries)
        kept.declared.update(changes.declared)
        if changes.ids:
            kept.ids.append((position.time, changes.ids))
        for _ in range(min(changes.expired_batches, len(kept.ids))):
            kept.ids.popleft()

    async def close(self) -> None:
        pass


K = TypeVar("K")
V = TypeVar("V")


def _merge(kept: dict[K, V], changes: Mapping[K, V | None]) -> None:
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
