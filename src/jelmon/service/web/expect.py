"""The answer to an ``Expect`` header.

aiohttp's own quotes the header, and fails with a traceback and a 500 if it is not UTF-8; it runs before any middleware
and for every path, known or not, so that its default has to be replaced.
"""

from aiohttp import HttpVersion11, web, web_urldispatcher


async def answer_expect(request: web.Request) -> None:
    """Invite the body of a request that waits for that; refuse any other expectation."""
    if request.version != HttpVersion11:
        return
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="the only expectation supported is 100-continue\n")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the body of the answer has not begun


def replace_default() -> None:
    """Let every route that is created from now on answer so."""
    web_urldispatcher._default_expect_handler = answer_expect
