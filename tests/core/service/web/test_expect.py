"""An ``Expect`` header of any kind is answered, for every path and without login."""

import asyncio
import contextlib

import pytest

from jelmon.config.settings import ListenAddress
from jelmon.service.web import Server


@pytest.mark.parametrize("path", ["/-/healthy", "/nowhere"])
@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param(b"\xff", b"417", id="no UTF-8"),
        pytest.param(b"200-ok", b"417", id="another expectation"),
        pytest.param(b"100-continue", b"100", id="waiting to send the body"),
    ],
)
async def test_any_expectation_is_answered(path: str, value: bytes, status: bytes) -> None:
    """aiohttp's own handler quotes the header, and raised for one that is not UTF-8."""
    server = Server("test", checks=dict)
    await server.start(ListenAddress("127.0.0.1", 0))
    try:
        assert server.address is not None
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nExpect: %s\r\n\r\n" % (path.encode(), value))
        line = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    finally:
        await server.stop()

    assert line.split()[1] == status
