"""Which message a request holds, from its headers alone: the version header must not decide and may be missing."""

from enum import StrEnum

from jelmon_store.wire.errors import UnsupportedError


class Protocol(StrEnum):
    """A version of remote write."""

    V1 = "1.0"
    V2 = "2.0"


_PROTOCOLS = {
    "": Protocol.V1,
    "prometheus.WriteRequest": Protocol.V1,
    "io.prometheus.write.v2.Request": Protocol.V2,
}


def negotiate(content_type: str, content_encoding: str) -> Protocol:
    """Return the protocol of a request.

    Raises:
        UnsupportedError: another content type or encoding; such a body must not be decoded.
    """
    if content_encoding.strip().lower() not in ("", "snappy"):
        raise UnsupportedError(
            f"unsupported Content-Encoding {content_encoding[:100]!r}", hint="send snappy (block format)"
        )
    media, *parameters = (part.strip() for part in content_type.split(";"))
    if media.lower() not in ("", "application/x-protobuf"):
        raise UnsupportedError(f"unsupported Content-Type {content_type[:100]!r}", hint="send application/x-protobuf")
    message = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "proto":
            message = value.strip().strip('"')
    try:
        return _PROTOCOLS[message]
    except KeyError:
        raise UnsupportedError(
            f"unsupported message {message[:100]!r}",
            hint=f"one of {', '.join(name for name in _PROTOCOLS if name)}",
        ) from None
