"""Answers a read request: finds the series, reads their samples in portions, and encodes them portion by portion."""

from collections.abc import Iterator, Sequence

from jelmon_store.read.chunked import encode_frames
from jelmon_store.read.matchers import QueryError
from jelmon_store.read.request import Query, ReadRequest
from jelmon_store.read.sampled import encode_result, encode_series
from jelmon_store.read.samples import SampleReader, Samples, batches
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
            encoded = []
            for one, samples in self._with_samples(query, series):
                encoded.append(encode_series(one, samples))
                size += len(encoded[-1])
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
            for one, samples in self._with_samples(query, series):
                for frame in encode_frames(one, samples, query_index=index):
                    waiting.append(frame)
                    size += len(frame)
                    self._check_size(sent + size)
                    if size >= _WRITTEN_AT_ONCE:
                        yield b"".join(waiting)
                        sent += size
                        waiting, size = [], 0
        yield b"".join(waiting)

    def _with_samples(self, query: Query, series: Sequence[Series]) -> Iterator[tuple[Series, Samples]]:
        for batch in batches(series):
            found = self._reader.read([one.series_id for one in batch], query.start, query.end)
            for one in batch:
                samples = found.get(one.series_id)
                if samples is not None:
                    yield one, samples

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_bytes:
            raise QueryError(
                f"the answer would exceed {self._settings.max_bytes} bytes",
                hint="select fewer series or a shorter range, or raise --read.max-bytes",
            )
