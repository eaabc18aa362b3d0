"""A message of a JetStream consumer, and what its reply subject says about it."""

from typing import NamedTuple

Message = tuple[bytes, bytes, bytes]
"""Payload, subject and reply subject, as they arrived."""


class Origin(NamedTuple):
    """What a message's reply subject says about it."""

    delivered: int  # number of the message among those of the consumer
    sequence: int  # in the stream
    arrived: float  # in the stream, seconds
    pending: int  # messages of the consumer that follow it


def origin(reply: bytes) -> Origin:
    """Parse ``$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivered>.<time>.<pending>`` or its longer form."""
    tokens = reply_tokens(reply)
    return Origin(int(tokens[6]), int(tokens[5]), int(tokens[7]) / 1e9, int(tokens[8]))


def reply_tokens(reply: bytes) -> list[bytes]:
    """Return the tokens of a reply subject in its shorter form, without domain and account hash."""
    tokens = reply.split(b".")
    return tokens[2:] if len(tokens) > 9 else tokens
