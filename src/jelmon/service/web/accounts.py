"""Which of the users in the web config may do what."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Accounts:
    """Users with one task: they may use ``path``, and only they; nothing else answers them. Without names all may."""

    path: str = ""
    names: frozenset[str] = frozenset()

    def refusal(self, request: web.Request, user: str | None) -> web.Response | None:
        """Return the answer to a user who may not do this; None if the user may."""
        if not self.names or (request.path == self.path) == (user in self.names):
            return None
        return web.Response(status=403, text="this account may not do that\n")

    def unknown(self, users: Iterable[str]) -> list[str]:
        """Return the names that are not users."""
        return sorted(self.names.difference(users))
