"""A message of the stream as it arrives, and what its reply subject tells of it."""

from typing import NamedTuple

Message = tuple[bytes, bytes, bytes]
"""A message of the stream as it arrived: payload, subject, reply subject."""


class Origin(NamedTuple):
    """What a message's reply subject tells of it."""

    delivered: int  # which of the consumer's messages it is
    sequence: int  # in the stream
    arrived: float  # in the stream, seconds
    pending: int  # how many of the consumer's messages come after it


def origin(reply: bytes) -> Origin:
    """Read ``$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivered>.<time>.<pending>``, or the longer form."""
    tokens = reply_tokens(reply)
    return Origin(int(tokens[6]), int(tokens[5]), int(tokens[7]) / 1e9, int(tokens[8]))


def reply_tokens(reply: bytes) -> list[bytes]:
    """The words of a reply subject in its shorter form."""
    tokens = reply.split(b".")
    return tokens[2:] if len(tokens) > 9 else tokens  # with domain and account before the stream
