"""State in Redis, shared by all replicas: one atomic, fenced script per batch.

Keys of a partition share a hash tag, so that they live together in a cluster. Values are JSON where a person may want
to look (series, declarations) and MessagePack where only we do (cards, sessions).
"""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jelmon.exporter.state.cells import Key, Value
from jelmon.exporter.state.model import Changes, Declaration, Position, Snapshot
from jelmon.exporter.state.store import Claim, FellBackError, FencedError, StoreUnavailableError

START_HINT = "start one with `redis-server`, or name yours with --redis.url or REDIS_URL"
_FOLDER = Path(__file__).parent
_encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_value = msgspec.json.Decoder(float | tuple[int, tuple[int, ...]]).decode
_decode_declaration = msgspec.json.Decoder(Declaration).decode
_decode_ids = msgspec.json.Decoder(tuple[float, list[str]]).decode
_TROUBLE = (redis.exceptions.RedisError, OSError, TimeoutError)


class RedisStore:
    """A `StateStore` over one Redis."""

    name = "redis"

    def __init__(self, url: str, *, password: str | None = None, prefix: str = "jelmore", timeout: float = 5.0) -> None:
        self._prefix = prefix
        self._client = redis.asyncio.Redis.from_url(
            url, password=password, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
        self._acquire = self._client.register_script((_FOLDER / "acquire.lua").read_text())
        self._commit = self._client.register_script((_FOLDER / "commit.lua").read_text())
        self._fields: dict[Key, bytes] = {}

    def key(self, partition: int, part: str) -> str:
        """The name of one of a partition's keys."""
        return f"{self._prefix}:state:{{{partition}}}:{part}"

    async def acquire(self, partition: int) -> Claim:
        token = str(uuid.uuid4())
        try:
            epoch = await self._acquire(keys=[self.key(partition, "meta")], args=[token])
        except _TROUBLE as error:
            raise unavailable(error) from error
        return Claim(int(epoch), token)

    async def load(self, partition: int) -> Snapshot:
        try:
            async with self._client.pipeline(transaction=True) as pipeline:
                for part in ("meta", "series", "entries", "declared"):
                    pipeline.hgetall(self.key(partition, part))
                pipeline.lrange(self.key(partition, "ids"), 0, -1)
                meta, series, entries, declared, ids = await pipeline.execute()
        except _TROUBLE as error:
            raise unavailable(error) from error
        return Snapshot(
            position=_position(meta),
            series=read_series(series),
            entries={key.decode(): value for key, value in entries.items()},
            declared={key.decode(): _decode_declaration(value) for key, value in declared.items()},
            ids=[_decode_ids(batch) for batch in ids],
        )

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        try:
            answer = await self._commit(
                keys=[
                    self.key(partition, part) for part in ("meta", "series", "entries", "declared", "ids", "touched")
                ],
                args=self._arguments(claim, position, changes, whole=whole),
            )
        except _TROUBLE as error:
            raise unavailable(error) from error
        match answer:
            case b"done" | b"already":
                return
            case b"fenced":
                raise FencedError(f"partition {partition} has a newer owner")
            case _:
                raise FellBackError(f"Redis holds an older state of partition {partition}")

    def _arguments(self, claim: Claim, position: Position, changes: Changes, *, whole: bool) -> list[Any]:
        series_set: list[bytes] = []
        series_gone: list[bytes] = []
        for key, value in changes.series.items():
            field = self._fields.get(key)
            if field is None:
                field = self._fields[key] = _encode((key[0], *key[1]))
            if value is None:
                series_gone.append(field)
            else:
                series_set += (field, _encode(value))
        entries_set: list[str | bytes] = []
        entries_gone: list[str] = []
        for name, entry in changes.entries.items():
            if entry is None:
                entries_gone.append(name)
            else:
                entries_set += (name, entry)
        declared: list[str | bytes] = []
        for pipeline, declaration in changes.declared.items():
            declared += (pipeline, _encode(declaration))
        return [
            claim.epoch,
            claim.token,
            position.version,
            position.sequence,
            position.stream,
            position.time,
            int(whole),
            changes.forgotten,
            _encode((position.time, changes.ids)) if changes.ids else b"",
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


def read_series(stored: Mapping[bytes, bytes]) -> dict[Key, Value]:
    """Series as they are stored."""
    series: dict[Key, Value] = {}
    for field, value in stored.items():
        name, *labels = _decode_key(field)
        series[name, tuple(labels)] = cast(Value, _decode_value(value))
    return series


def _position(meta: Mapping[bytes, bytes]) -> Position:
    if b"version" not in meta:
        return Position()
    return Position(
        version=int(meta[b"version"]),
        sequence=int(meta[b"sequence"]),
        stream=meta[b"stream"].decode(),
        time=float(meta[b"time"]),
    )


def unavailable(error: BaseException) -> StoreUnavailableError:
    """What a failed command means."""
    return StoreUnavailableError(f"Redis does not answer: {str(error) or type(error).__name__}", hint=START_HINT)
