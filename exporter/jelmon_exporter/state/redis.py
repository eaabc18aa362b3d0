"""State in Redis, shared by all replicas: one atomic, fenced script per batch.

Keys of a partition share a hash tag, so that they stay together. Redis Cluster is not supported: the names of the
replicas and the lease of the probes are on other nodes, which this client does not follow.

Keys that are evicted or overwritten are noticed: each commit notes how much the keys of its partition hold, and the
next one compares. The owner of the partition then writes its whole state again, and nothing is lost; without an owner,
the partition is counted again from the stream, and the reset is counted (`Snapshot.lost`).
"""

import contextlib
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions

from jelmon.database.redis import client_of
from jelmon.errors import ConfigError
from jelmon_exporter.series.cells import Key
from jelmon_exporter.state.encoding import (
    encode,
    encode_key,
    read_declared,
    read_entries,
    read_ids,
    read_series,
)
from jelmon_exporter.state.model import Changes, Lost, Position, Snapshot, Unreadable
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, Seen, StoreUnavailableError

START_HINT = "start one with `redis-server`, or set --redis.url or REDIS_URL"
_FOLDER = Path(__file__).parent
_MOST_FIELDS = 200_000
_PARTS = ("series", "entries", "declared", "ids", "touched")
_TROUBLE = (redis.exceptions.RedisError, OSError, TimeoutError)


_EVICTION_HINT = "set maxmemory-policy noeviction, and leave the keys of the exporter to the exporter"
_CLUSTER = (redis.exceptions.MovedError, redis.exceptions.AskError, redis.exceptions.ClusterDownError)
_REFUSALS: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    (
        _CLUSTER,
        "REDIS_URL is a node of a Redis Cluster, which is not supported",
        "use one Redis with replicas (Sentinel or a managed one with cluster mode off)",
    ),
    (
        (redis.exceptions.AuthenticationError,),
        "Redis refuses the password",
        "check REDIS_PASSWORD_FILE and ?username= in the URL",
    ),
    (
        (redis.exceptions.NoPermissionError,),
        "Redis refuses a command",
        "docs/guides/securing.md has the permissions that the exporter needs",
    ),
    ((redis.exceptions.OutOfMemoryError,), "Redis is full", "raise maxmemory; keep maxmemory-policy noeviction"),
    ((redis.exceptions.ReadOnlyError,), "Redis is a read-only replica", "give the URL of the primary"),
    ((redis.exceptions.ResponseError,), "Redis answers with an error", "see the log of Redis"),
)
"""What an error answer means, more special ones first."""


class RedisStore:
    """A `StateStore` over one Redis."""

    name = "redis"
    shared = True

    def __init__(
        self,
        url: str,
        *,
        password: Callable[[], str] | None = None,
        prefix: str = "jelmore",
        timeout: float = 5.0,
        renew_seconds: float = 2.0,
    ) -> None:
        """Prepare the client, without connecting.

        Raises:
            ConfigError: the URL is invalid.
        """
        self._prefix = prefix
        self.renew_seconds = renew_seconds
        self._lease = round(3000 * renew_seconds)  # milliseconds
        try:
            self._client = client_of(url, password=password, timeout=timeout)
        except (ValueError, TypeError, redis.exceptions.RedisError) as error:
            raise ConfigError(f"REDIS_URL: {error}", hint="for example redis://host:6379/0") from error
        types = (_FOLDER / "types.lua").read_text()
        self._acquire, self._renew, self._release, self._attend, self._commit, self._changes, self._set_aside = (
            self._client.register_script(types + (_FOLDER / f"{name}.lua").read_text())
            for name in ("acquire", "renew", "release", "attend", "commit", "changes", "set_aside")
        )
        self._fields: dict[Key, bytes] = {}

    def key(self, partition: int, part: str) -> str:
        """Return the name of one of a partition's keys."""
        return f"{self._prefix}:state:{{{partition}}}:{part}"

    async def attend(self, replica: str, *, leaving: bool = False) -> list[str]:
        milliseconds = 0 if leaving else self._lease
        names = await self._call(self._attend, [f"{self._prefix}:replicas"], [replica, milliseconds])
        return sorted(name.decode(errors="replace") for name in names)

    async def acquire(self, partition: int) -> Claim | None:
        keys = [self.key(partition, "meta"), self.key(partition, "lease")]
        answer = await self._call(self._acquire, keys, [str(uuid.uuid4()), self._lease])
        return Claim(int(answer[0]), answer[1].decode()) if answer else None

    async def renew(self, partition: int, claim: Claim) -> bool:
        keys = [self.key(partition, "meta"), self.key(partition, "lease")]
        return bool(await self._call(self._renew, keys, [claim.epoch, claim.token, self._lease]))

    async def release(self, partition: int, claim: Claim) -> None:
        await self._call(self._release, [self.key(partition, "lease")], [claim.token])

    async def changes_since(self, partition: int, seen: Seen | None) -> tuple[Seen, Snapshot, bool] | None:
        keys = [self.key(partition, part) for part in ("meta", "series", "touched", "declared", "entries", "ids")]
        answer = await self._call(self._changes, keys, [seen.epoch if seen else 0, seen.version if seen else 0])
        if answer == -1:
            raise StoreUnavailableError(
                f"Redis: keys of partition {partition} were evicted or overwritten: {self.key(partition, '*')}",
                hint=_EVICTION_HINT,
            )
        epoch, version, *more = answer
        now = Seen(int(epoch), int(version))
        if not more:
            return None if now == seen else (now, Snapshot(), True)
        everything, series, declared = more
        return (
            now,
            # what cannot be read is the owner's to report
            Snapshot(
                series=read_series(_pairs(series), [], dropped=True), declared=read_declared(_pairs(declared), [])
            ),
            everything == 1,
        )

    async def publish(self, hashes: Mapping[str, Mapping[str, Any]], seconds: int) -> None:
        """Write hashes (by key without the prefix) that expire after ``seconds``.

        Raises:
            StoreUnavailableError: not written.
        """
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, fields in hashes.items():
                    mapping: dict[Any, Any] = dict(fields)
                    pipeline.hset(f"{self._prefix}:{key}", mapping=mapping)
                    pipeline.expire(f"{self._prefix}:{key}", seconds)
                results = await pipeline.execute(raise_on_error=False)
            keys = [f"{self._prefix}:{key}" for key in hashes for _ in range(2)]
            for key, result in zip(keys, results, strict=True):
                if isinstance(result, redis.exceptions.ResponseError) and str(result).startswith("WRONGTYPE"):
                    await self._client.delete(key)  # of another program; the next figures go there
                elif isinstance(result, Exception):
                    raise result
        except _TROUBLE as error:
            raise unavailable(error) from error

    async def _call(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        try:
            return await script(keys=keys, args=arguments)
        except _TROUBLE as error:
            raise unavailable(error) from error

    async def load(self, partition: int) -> Snapshot:
        try:
            async with self._client.pipeline(transaction=True) as pipeline:
                for part in ("meta", "series", "entries", "declared"):
                    pipeline.hgetall(self.key(partition, part))
                pipeline.lrange(self.key(partition, "ids"), 0, -1)
                pipeline.zcard(self.key(partition, "touched"))
                found = await pipeline.execute(raise_on_error=False)
            for result in found:
                if isinstance(result, Exception) and not str(result).startswith("WRONGTYPE"):
                    raise result
            lost = self._lost(partition, found)
            if lost is not None:
                await self._set_aside(keys=[self.key(partition, part) for part in _PARTS])
                return Snapshot(lost=lost)
        except _TROUBLE as error:
            raise unavailable(error) from error
        meta, series, entries, declared, ids, _ = found
        unreadable: list[Unreadable] = []
        return Snapshot(
            position=_position(meta),
            series=read_series(series.items(), unreadable),
            entries=read_entries(entries.items(), unreadable),
            declared=read_declared(declared.items(), unreadable),
            ids=read_ids(ids, unreadable),
            unreadable=unreadable,
        )

    def _lost(self, partition: int, found: list[Any]) -> Lost | None:
        """Return why the parts of a partition cannot be used together, if so."""
        for part, result in zip(("meta", *_PARTS), found, strict=True):
            if isinstance(result, Exception):
                return Lost(self.key(partition, part), "unreadable", "the key has another type")
        meta, *parts = found
        lengths = [part if isinstance(part, int) else len(part) for part in parts]
        try:
            position = _position(meta)
        except ValueError as error:
            return Lost(self.key(partition, "meta"), "unreadable", str(error))
        if position.version == 0:
            return Lost(self.key(partition, "meta"), "evicted", "the position is gone") if any(lengths) else None
        version, _, sizes = meta.get(b"sizes", b"").partition(b":")
        if version != b"%d" % position.version:  # the last commit is one of an earlier version of this program
            return None
        for part, length, expected in zip(_PARTS, lengths, sizes.split(), strict=False):
            if not expected.isdigit() or length < int(expected):  # what is too much is read, or found unreadable
                detail = f"it holds {length} fields instead of {expected.decode(errors='replace')}"
                return Lost(self.key(partition, part), "evicted", detail)
        return None

    def place(self, partition: int, part: str) -> str:
        return self.key(partition, part)

    async def set_aside(self, partition: int, faults: list[Unreadable]) -> None:
        try:
            for fault in faults:
                key = f"{self.key(partition, fault.part)}:unreadable-fields"
                with contextlib.suppress(redis.exceptions.ResponseError):  # somebody uses that key
                    await self._client.hset(key, fault.field, fault.value)
                    await self._client.expire(key, 86400)
        except _TROUBLE as error:
            raise unavailable(error) from error

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        keys = [self.key(partition, part) for part in ("meta", "series", "entries", "declared", "ids", "touched")]
        match await self._call(self._commit, keys, self._arguments(claim, position, changes, whole=whole)):
            case b"done" | b"already":
                return
            case b"fenced":
                raise FencedError(f"partition {partition} has a newer owner")
            case _:
                raise FellBackError(f"Redis holds an older state of partition {partition}")

    def _arguments(self, claim: Claim, position: Position, changes: Changes, *, whole: bool) -> list[Any]:
        if len(self._fields) > _MOST_FIELDS:  # bounds the memory for names of dropped series
            self._fields.clear()
        series_set: list[bytes] = []
        series_gone: list[bytes] = []
        for key, value in changes.series.items():
            field = self._fields.get(key)
            if field is None:
                field = self._fields[key] = encode_key(key)
            if value is None:
                series_gone.append(field)
            else:
                series_set += (field, encode(value))
        entries_set: list[str | bytes] = []
        entries_gone: list[str] = []
        for name, entry in changes.entries.items():
            if entry is None:
                entries_gone.append(name)
            else:
                entries_set += (name, entry)
        declared: list[str | bytes] = []
        for pipeline, declaration in changes.declared.items():
            declared += (pipeline, encode(declaration))
        return [
            claim.epoch,
            claim.token,
            position.version,
            position.sequence,
            position.stream,
            position.time,
            int(whole),
            changes.expired_batches,
            encode((position.time, changes.ids)) if changes.ids else b"",
            len(series_set) // 2,
            len(series_gone),
            len(entries_set) // 2,
            len(entries_gone),
            len(declared) // 2,
            *series_set,
            *series_gone,
            *entries_set,
            *entries_gone,
            *declared,
        ]

    async def close(self) -> None:
        await self._client.aclose()


def _pairs(flat: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _position(meta: Mapping[bytes, bytes]) -> Position:
    if b"version" not in meta:
        return Position()
    try:
        position = Position(
            version=int(meta[b"version"]),
            sequence=int(meta[b"sequence"]),
            stream=meta[b"stream"].decode(),
            time=float(meta[b"time"]),
        )
    except KeyError as error:
        raise ValueError(f"the field {error.args[0].decode()} is missing") from error
    if not (0 <= position.version < 2**53 and 0 <= position.sequence < 2**63 and math.isfinite(position.time)):
        raise ValueError("not a position in a stream")
    return position


def unavailable(error: BaseException) -> StoreUnavailableError:
    """Return the error to raise for a failed command."""
    text = str(error) or type(error).__name__
    for kinds, message, hint in _REFUSALS:
        if isinstance(error, kinds):
            return StoreUnavailableError(f"{message}: {text}", hint=hint)
    return StoreUnavailableError(f"Redis does not answer: {text}", hint=START_HINT)
