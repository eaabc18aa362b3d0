"""Where a signal's state is kept between two runs: a folder, or a Redis that replicas share."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jelmon.errors import ConfigError, SourceError

_CHUNK_BYTES = 4_000_000
"""Of one command to Redis, so that a large state does not hold up its other users."""
_TIMEOUT_SECONDS = 10.0
_TROUBLE = (redis.exceptions.RedisError, OSError, TimeoutError)


class StateStorage(Protocol):
    """Keeps bytes by name, whole or not at all."""

    shared: bool
    """Whether replicas keep theirs under the same names."""

    async def load(self, name: str) -> bytes | None:
        """What was kept, None if nothing is.

        Raises:
            SourceError: it cannot be told.
        """

    async def save(self, name: str, state: bytes) -> None:
        """Keep, in place of what was kept before.

        Raises:
            SourceError: not kept; what was kept before still is.
        """


class FolderStorage:
    """A file for each name."""

    shared = False

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--regression.state: {error}", hint="name a folder this user may write") from error
        self._folder = folder

    async def load(self, name: str) -> bytes | None:
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"cannot read {self._file(name)}: {error.strerror}") from error

    async def save(self, name: str, state: bytes) -> None:
        new = self._file(name).with_suffix(".new")
        try:
            new.write_bytes(state)
            new.replace(self._file(name))
        except OSError as error:
            raise SourceError(f"cannot write {new}: {error.strerror}") from error

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.state"


class RedisStorage:
    """A list of chunks for each name, replaced at once. It expires when it is too old to go on from."""

    shared = True

    def __init__(self, url: str, *, password: str | None, prefix: str, expire_seconds: float) -> None:
        self._url, self._password, self._prefix = url, password, prefix
        self._expire = round(expire_seconds)

    def key(self, name: str) -> str:
        """Where the state of a signal lies; in braces what places it in a cluster."""
        return f"{self._prefix}:regression:{{{name}}}"

    async def load(self, name: str) -> bytes | None:
        async with self._client() as client:
            chunks: list[bytes] = await client.lrange(self.key(name), 0, -1)  # type: ignore[assignment] # typed for text as well
        return b"".join(chunks) or None

    async def save(self, name: str, state: bytes) -> None:
        new = f"{self.key(name)}:{uuid.uuid4().hex}"
        async with self._client() as client:
            for start in range(0, len(state), _CHUNK_BYTES):
                await client.rpush(new, state[start : start + _CHUNK_BYTES])
                await client.expire(new, self._expire)  # what a killed replica leaves goes away
            await client.rename(new, self.key(name))

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[redis.asyncio.Redis]:
        """Connected for one state: there is one in a quarter of an hour."""
        try:
            async with redis.asyncio.Redis.from_url(
                self._url,
                password=self._password,
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ) as client:
                yield client
        except _TROUBLE as error:
            raise SourceError(
                f"Redis does not answer: {type(error).__name__} {error}".rstrip(), hint="is it running? see --redis.url"
            ) from error
