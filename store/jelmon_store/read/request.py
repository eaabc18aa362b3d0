"""A remote-read request: snappy, then ``prometheus.ReadRequest``."""

from dataclasses import dataclass
from enum import IntEnum

import cramjam

from jelmon_store.read.matchers import Matcher, MatcherKind, QueryError
from jelmon_store.read.protobuf import BYTES, VARINT, ProtobufError, fields, signed, varints

MAX_REQUEST_BYTES = 32 << 20
"""Of the decompressed request, as in Prometheus."""
MAX_QUERIES = 64
MAX_MATCHERS = 1000


class ResponseType(IntEnum):
    """The numbers are those of ``prometheus.ReadRequest.ResponseType``."""

    SAMPLES = 0
    STREAMED_XOR_CHUNKS = 1


@dataclass(frozen=True, slots=True)
class Query:
    """The series to read and the time range in milliseconds; both ends are included."""

    start: int
    end: int
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Queries, and the response types that the client accepts, the preferred one first."""

    queries: tuple[Query, ...]
    accepted: tuple[ResponseType, ...]


def parse(body: bytes) -> ReadRequest:
    """Return the request in the body of an HTTP request.

    Raises:
        QueryError: it is malformed, too large, or holds an invalid regex.
    """
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > MAX_REQUEST_BYTES:
            raise QueryError(f"the decompressed request would exceed {MAX_REQUEST_BYTES} bytes")
        message = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise QueryError(
            "the body is not a snappy block", hint="remote read sends Content-Encoding: snappy, in the block format"
        ) from error
    try:
        return _request(message)
    except (ProtobufError, UnicodeDecodeError) as error:
        raise QueryError(f"the body is not a ReadRequest: {error}") from error


def _request(message: bytes) -> ReadRequest:
    queries, accepted = [], []
    for number, wire, value in fields(message):
        if number == 1 and wire == BYTES:
            assert isinstance(value, bytes)
            queries.append(_query(value))
        elif number == 2:
            accepted += [value] if isinstance(value, int) else list(varints(value))
        if len(queries) > MAX_QUERIES:
            raise QueryError(f"more than {MAX_QUERIES} queries in one request")
    known = tuple(ResponseType(kind) for kind in accepted if kind in list(ResponseType))
    if accepted and not known:
        raise QueryError(
            "none of the accepted response types is supported", hint="accept SAMPLES or STREAMED_XOR_CHUNKS"
        )
    return ReadRequest(tuple(queries), known or (ResponseType.SAMPLES,))


def _query(message: bytes) -> Query:
    start = end = 0
    matchers = []
    for number, wire, value in fields(message):
        if wire == VARINT and isinstance(value, int):
            if number == 1:
                start = signed(value)
            elif number == 2:
                end = signed(value)
        elif number == 3 and isinstance(value, bytes):
            matchers.append(_matcher(value))
        if len(matchers) > MAX_MATCHERS:
            raise QueryError(f"more than {MAX_MATCHERS} matchers in one query")
    return Query(start, end, tuple(matchers))


def _matcher(message: bytes) -> Matcher:
    kind, name, text = 0, "", ""
    for number, _, value in fields(message):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            name = value.decode()
        elif number == 3 and isinstance(value, bytes):
            text = value.decode()
    if kind not in list(MatcherKind):
        raise QueryError(f"unknown matcher type {kind} for label {name!r}")
    return Matcher(MatcherKind(kind), name, text)
