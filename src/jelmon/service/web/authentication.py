"""Basic auth against bcrypt hashes: cached for known logins, slow for guesses, equally slow for unknown users."""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

_REMEMBERED = 1000
_QUEUE = 16  # logins that may wait for bcrypt; one is checked at a time, so that guessing cannot use all CPUs
_PASSWORD_BYTES = 72  # bcrypt and htpasswd ignore the rest


class BusyError(Exception):
    """Too many logins are waiting to be checked."""


class Authenticator:
    """Checks the ``Authorization`` header and caches the results, keyed by an HMAC with a key of this process."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        # separate caches, so that guesses do not evict valid logins
        self._passed: OrderedDict[bytes, None] = OrderedDict()
        self._failed: OrderedDict[bytes, None] = OrderedDict()
        self._bcrypt_lock = asyncio.Lock()
        self._waiting = 0
        costs = [int(stored[4:6]) for stored in users.values()]
        # a hash that no password has: an unknown user takes as long to check as a known one
        self._nobody = b"$2b$%02d$" % max(costs, default=4) + b"." * 53

    async def user_of(self, header: str) -> str | None:
        """Return the user whose name and password are in the header; None if they are not.

        Raises:
            BusyError: too many uncached logins at once.
        """
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return None
        if not colon:
            return None
        digest = hmac.digest(self._key, name + colon + password, "sha256")
        if digest in self._passed:
            self._passed.move_to_end(digest)
            return name.decode()
        if digest in self._failed:
            return None
        known = self._users.get(name.decode("utf-8", "replace"))
        matches = await self._compare(password[:_PASSWORD_BYTES], known or self._nobody)
        passed = matches and known is not None
        _remember(self._passed if passed else self._failed, digest)
        return name.decode() if passed else None

    async def _compare(self, password: bytes, stored: bytes) -> bool:
        if self._waiting >= _QUEUE:
            raise BusyError
        self._waiting += 1
        try:
            async with self._bcrypt_lock:
                return await asyncio.to_thread(_matches, password, stored)
        finally:
            self._waiting -= 1


def _matches(password: bytes, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, stored)
    except ValueError:  # some versions reject a NUL in the password
        return False


def _remember(cache: OrderedDict[bytes, None], digest: bytes) -> None:
    cache[digest] = None
    if len(cache) > _REMEMBERED:
        cache.popitem(last=False)
