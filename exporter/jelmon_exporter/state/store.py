"""The seam between counting and keeping: what a state store offers, and how it refuses.

A commit writes state and stream position together or not at all. It is refused unless it comes from the newest owner
(``claim``) and follows the commit before it (``position.version``), so that neither a paused owner that wakes up nor a
lost reply can make a count wrong.
"""

from dataclasses import dataclass
from typing import Protocol

from jelmon.errors import JelmonError, SourceError
from jelmon_exporter.state.model import Changes, Position, Snapshot


class FencedError(JelmonError):
    """Somebody else owns the partition by now: what we counted since our last commit is theirs to count."""


class FellBackError(JelmonError):
    """The store holds an older state than we committed: it must be given everything anew (`Ledger.whole`)."""


class StoreUnavailableError(SourceError):
    """The store does not answer; trying again may help."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Ownership of a partition. The epoch fences off earlier owners; the token tells apart equal epochs, which a store
    that fell back may give out.
    """

    epoch: int
    token: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Up to which commit a reader knows a partition."""

    epoch: int
    version: int


class StateStore(Protocol):
    """Where state is kept. Two kinds: shared by replicas, or our own."""

    @property
    def name(self) -> str:
        """``redis``, ``disk``, ``memory``: a label value."""

    @property
    def shared(self) -> bool:
        """Whether replicas share it: they divide the partitions, and each shows what the others committed."""

    @property
    def renew_seconds(self) -> float:
        """How often leases must be renewed; they last three times as long."""

    async def attend(self, replica: str, *, leaving: bool = False) -> list[str]:
        """Say that we are alive (or leave), and learn who is, in the same order for all.

        Raises:
            StoreUnavailableError: try again.
        """

    async def acquire(self, partition: int) -> Claim | None:
        """Become the partition's owner; None while somebody else is. The lease must be renewed.

        Raises:
            StoreUnavailableError: try again.
        """

    async def renew(self, partition: int, claim: Claim) -> bool:
        """Keep the lease; False: somebody else owns the partition by now.

        Raises:
            StoreUnavailableError: try again.
        """

    async def release(self, partition: int, claim: Claim) -> None:
        """Give the lease up, so that another need not wait until it runs out.

        Raises:
            StoreUnavailableError: it runs out by itself.
        """

    async def changes_since(self, partition: int, seen: Seen | None) -> tuple[Seen, Snapshot, bool] | None:
        """What others committed since ``seen``; None if nothing. The flag: these are all series there are.

        A series that is gone has the value None.

        Raises:
            StoreUnavailableError: try again.
        """

    async def load(self, partition: int) -> Snapshot:
        """All that is stored of a partition.

        Raises:
            StoreUnavailableError: try again.
        """

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        """Write changes and position at once. ``position.version`` is that of the commit before, plus one.

        ``whole``: the changes are everything; what is stored besides goes, and the version stored does not matter.

        Raises:
            FencedError: there is a newer owner.
            FellBackError: the stored version is not the one before.
            StoreUnavailableError: not written, or written and the reply was lost; the same commit may be tried again.
        """

    async def close(self) -> None:
        """Let go of connections."""
