"""The protocol of outputs."""

from typing import Protocol

from jelmon_history.columns import Chunk


class Output(Protocol):
    """Takes chunks in order of time."""

    def write(self, chunk: Chunk) -> None:
        """Write a chunk; it may still be under way when this returns.

        Raises:
            SourceError: this chunk or an earlier one cannot be written.
        """

    def finish(self) -> None:
        """Wait until everything so far is written.

        Raises:
            SourceError: something cannot be written.
        """

    def close(self) -> None:
        """Release what is held, finished or not."""
