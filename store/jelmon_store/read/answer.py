"""Answers a read request: finds the series, reads their samples in portions, and encodes them portion by portion."""

from collections.abc import Iterator, Sequence

from jelmon_store.read.chunked import encode_frames
from jelmon_store.read.matchers import QueryError
from jelmon_store.read.request import Query, ReadRequest
from jelmon_store.read.sampled import encode_block, encode_result
from jelmon_store.read.samples import Block, SampleReader, portions
from jelmon_store.read.selection import Connection, Series, select_series
from jelmon_store.read.settings import ReadSettings

_WRITTEN_AT_ONCE = 256 << 10


class Answer:
    """The answer to one request, of the first type that its client accepts."""

    def __init__(
        self, connection: Connection, request: ReadRequest, settings: ReadSettings, *, tenant: str = ""
    ) -> None:
        self._queries = request.queries
        self._settings = settings
        self._reader = SampleReader(connection, limit=settings.max_samples)
        self._series = [
            select_series(connection, query.matchers, tenant=tenant, limit=settings.max_series)
            if query.start <= query.end
            else []
            for query in request.queries
        ]
        self.type = request.accepted[0]

    def samples(self) -> bytes:
        """Return the message ``prometheus.ReadResponse``.

        Raises:
            QueryError: the answer exceeds a limit.
        """
        results, size = [], 0
        for query, series in zip(self._queries, self._series, strict=True):
            encoded: list[bytes] = []
            for block in self._blocks(query, series):
                for message in encode_block(block):
                    encoded.append(message)
                    size += len(message)
                    self._check_size(size)
            results.append(encode_result(encoded))
        return b"".join(results)

    def chunks(self) -> Iterator[bytes]:
        """Yield the frames of ``prometheus.ChunkedReadResponse``, several at a time.

        Raises:
            QueryError: the answer exceeds a limit.
        """
        waiting, size, sent = [], 0, 0
        for index, (query, series) in enumerate(zip(self._queries, self._series, strict=True)):
            for block in self._blocks(query, series):
                for frame in encode_frames(block, query_index=index):
                    waiting.append(frame)
                    size += len(frame)
                    self._check_size(sent + size)
                    if size >= _WRITTEN_AT_ONCE:
                        yield b"".join(waiting)
                        sent += size
                        waiting, size = [], 0
        yield b"".join(waiting)

    def _blocks(self, query: Query, series: Sequence[Series]) -> Iterator[Block]:
        for portion in portions(series, query.start, query.end):
            yield self._reader.read(portion, query.start, query.end)

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_bytes:
            raise QueryError(
                f"the answer would exceed {self._settings.max_bytes} bytes",
                hint="select fewer series or a shorter range, or raise --read.max-bytes",
            )
