"""Storage for the state of signals between runs: a folder, or a Redis that replicas share."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import redis.asyncio
import redis.exceptions

from jelmon.database.redis import client_of
from jelmon.errors import ConfigError, SourceError

_CHUNK_BYTES = 4_000_000
"""Most bytes in one command to Redis, so that a large state does not block its other clients."""
_TIMEOUT_SECONDS = 10.0
_FAILURES = (redis.exceptions.RedisError, OSError, TimeoutError)


class StateStorage(Protocol):
    """Stores bytes by name; a save is atomic."""

    shared: bool
    """Whether all replicas use the same names."""

    async def load(self, name: str) -> bytes | None:
        """Return what was saved under a name, None if nothing was.

        Raises:
            SourceError: the storage cannot be read.
        """

    async def save(self, name: str, state: bytes) -> None:
        """Replace what was saved under a name.

        Raises:
            SourceError: the state was not saved; the state saved before remains.
        """


class FolderStorage:
    """A file per name.

    Raises:
        ConfigError: the folder cannot be created.
    """

    shared = False

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--regression.state: {error}", hint="the analyzer needs write access") from error
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
    """A list of chunks per name, replaced by a rename. It expires when it is too old to continue from."""

    shared = True

    def __init__(self, url: str, *, password: Callable[[], str] | None, prefix: str, expire_seconds: float) -> None:
        self._url, self._password, self._prefix = url, password, prefix
        self._expire = round(expire_seconds)

    def key(self, name: str) -> str:
        """Return the key of a signal; the braces keep its keys in one hash slot of a Redis Cluster."""
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
                await client.expire(new, self._expire)  # in case this replica is killed before the rename
            await client.rename(new, self.key(name))

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[redis.asyncio.Redis]:
        """Connect for one state: with a save every 15 minutes a standing connection is not worth it."""
        try:
            async with client_of(self._url, password=self._password, timeout=_TIMEOUT_SECONDS) as client:
                yield client
        except _FAILURES as error:
            raise SourceError(
                f"Redis does not answer: {type(error).__name__} {error}".rstrip(),
                hint="check that Redis is running; --redis.url sets the address",
            ) from error
