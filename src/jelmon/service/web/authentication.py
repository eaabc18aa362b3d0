"""Basic auth against bcrypt hashes: slow for whoever guesses, fast for whoever knows, equal for every user name."""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

_REMEMBERED = 1000
_QUEUE = 16  # log-ins that may wait for bcrypt; one runs at a time, so that guessing cannot take all CPUs
_PASSWORD_BYTES = 72  # bcrypt reads no more, and htpasswd hashes no more


class BusyError(Exception):
    """Too many log-ins wait for their check."""


class Authenticator:
    """Checks the ``Authorization`` header. What passed and what failed is remembered under a key of this process."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        # apart, so that guessing does not push out what passed
        self._passed: OrderedDict[bytes, None] = OrderedDict()
        self._failed: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        costs = [int(stored[4:6]) for stored in users.values()]
        # a hash that no password has: an unknown name takes as long as a known one
        self._nobody = b"$2b$%02d$" % max(costs, default=4) + b"." * 53

    async def passes(self, header: str) -> bool:
        """Whether the header holds the name and password of a user.

        Raises:
            BusyError: too many unknown log-ins at once.
        """
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        if not colon:
            return False
        digest = hmac.digest(self._key, name + colon + password, "sha256")
        if digest in self._passed:
            self._passed.move_to_end(digest)
            return True
        if digest in self._failed:
            return False
        known = self._users.get(name.decode("utf-8", "replace"))
        matches = await self._compare(password[:_PASSWORD_BYTES], known or self._nobody)
        passed = matches and known is not None
        _remember(self._passed if passed else self._failed, digest)
        return passed

    async def _compare(self, password: bytes, stored: bytes) -> bool:
        if self._waiting >= _QUEUE:
            raise BusyError
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(_matches, password, stored)
        finally:
            self._waiting -= 1


def _matches(password: bytes, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, stored)
    except ValueError:  # a password with a NUL in it, for some versions
        return False


def _remember(cache: OrderedDict[bytes, None], digest: bytes) -> None:
    cache[digest] = None
    if len(cache) > _REMEMBERED:
        cache.popitem(last=False)
