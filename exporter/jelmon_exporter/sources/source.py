"""The protocol of every source. `table` lists the sources that the exporter runs."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web as http


class Source(Protocol):
    """One way in which facts reach the exporter. A source subclasses this and overrides what it has."""

    name: str
    """The name of its task."""

    async def run(self) -> None:
        """Work until cancelled. A source that only answers requests has nothing to do here."""
        await asyncio.Event().wait()

    def routes(self) -> Sequence[http.RouteDef]:
        """Return the HTTP routes that it answers."""
        return ()

    def render(self, *, openmetrics: bool) -> str:  # noqa: ARG002
        """Return samples that are not in the catalogue, in the text format."""
        return ""

    def notes(self) -> Sequence[str]:
        """Return lines for ``--check-config``."""
        return ()
