"""The protocol of state stores, and their errors.

A commit writes state and stream position together or not at all. It is refused unless it comes from the newest owner
(``claim``) and follows the previous commit (``position.version``), so that neither a resumed former owner nor a lost
reply can make a count wrong.
"""

from dataclasses import dataclass
from typing import Protocol

from jelmon.errors import JelmonError, SourceError
from jelmon_exporter.state.model import Changes, Position, Snapshot, Unreadable


class FencedError(JelmonError):
    """The partition has a newer owner, which counts everything since our last commit."""


class FellBackError(JelmonError):
    """The store holds an older state than was committed: it needs the whole state again (`changes.drain_all`)."""


class StoreUnavailableError(SourceError):
    """The store does not answer; a retry may help."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Ownership of a partition. The epoch fences off earlier owners; the token distinguishes equal epochs, which a
    store that fell back may issue.
    """

    epoch: int
    token: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The last commit of a partition that a reader knows."""

    epoch: int
    version: int


class StateStore(Protocol):
    """Stores the state. Some stores are shared by replicas, others belong to one."""

    @property
    def name(self) -> str:
        """``redis``, ``disk``, ``memory``: a label value."""

    @property
    def shared(self) -> bool:
        """Whether replicas share it: they divide the partitions, and each exposes what the others committed."""

    @property
    def renew_seconds(self) -> float:
        """How often leases must be renewed; they last three times as long."""

    async def attend(self, replica: str, *, leaving: bool = False) -> list[str]:
        """Register this replica (or remove it); return all live replicas, in the same order everywhere.

        Raises:
            StoreUnavailableError: retry.
        """

    async def acquire(self, partition: int) -> Claim | None:
        """Become the partition's owner; None while another replica is. The lease must be renewed.

        Raises:
            StoreUnavailableError: retry.
        """

    async def renew(self, partition: int, claim: Claim) -> bool:
        """Renew the lease; False if another replica owns the partition.

        Raises:
            StoreUnavailableError: retry.
        """

    async def release(self, partition: int, claim: Claim) -> None:
        """Release the lease, so that another replica need not wait until it expires.

        Raises:
            StoreUnavailableError: it expires by itself.
        """

    async def changes_since(self, partition: int, seen: Seen | None) -> tuple[Seen, Snapshot, bool] | None:
        """Return what was committed since ``seen``, None if nothing; the flag says that these are all series.

        A dropped series has the value None.

        Raises:
            StoreUnavailableError: retry.
        """

    async def load(self, partition: int) -> Snapshot:
        """Return everything that is stored of a partition.

        Raises:
            StoreUnavailableError: retry.
        """

    def place(self, partition: int, part: str) -> str:
        """Return where a part of a partition is stored, for people."""

    async def set_aside(self, partition: int, faults: list[Unreadable]) -> None:
        """Keep what cannot be read apart from the state; the next commit must be of the whole state.

        Raises:
            StoreUnavailableError: retry.
        """

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        """Write changes and position atomically. ``position.version`` is that of the previous commit plus one.

        ``whole``: the changes are the whole state; anything else stored is removed, and its version is ignored.

        Raises:
            FencedError: there is a newer owner.
            FellBackError: the stored version is not the previous one.
            StoreUnavailableError: not written, or the reply was lost; the same commit may be repeated.
        """

    async def close(self) -> None:
        """Close connections."""
