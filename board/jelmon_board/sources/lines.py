"""Where lines over time come from: Prometheus, or the board itself."""

from typing import Protocol

from jelmon_board.model.lines import History, Line, Span
from jelmon_board.model.samples import Key


class Lines(Protocol):
    """Both ways to get lines. Every method raises `SourceError` if the source does not answer."""

    async def latest(self, line: Line) -> dict[Key, float]:
        """Return the latest value of each series."""

    async def history(self, line: Line, span: Span, pipelines: tuple[str, ...] = ()) -> History:
        """Return the values within the span; of all pipelines if none are named."""
