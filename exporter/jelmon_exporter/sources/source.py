"""The protocol of every source. `table` lists the sources that the exporter runs."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web as http


class Source(Protocol):
    """One way in which facts reach the exporter. Subclass it and override what the source has."""

    @property
    def name(self) -> str:
        """The name of its task."""

    async def run(self) -> None:
        """Work until cancelled, or until `stop` if the source has one."""

    def routes(self) -> Sequence[http.RouteDef]:
        """Return the HTTP routes that it answers."""
        return ()

    def render(self, *, openmetrics: bool) -> str:  # noqa: ARG002
        """Return samples in the text format that are not in the catalogue."""
        return ""

    def notes(self) -> Sequence[str]:
        """Return lines for ``--check-config``."""
        return ()
