"""GET and POST with limits: a source that is slow, huge or not what it should be costs one part of a page."""

import base64
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from jelmon.config.settings import Secret
from jelmon.errors import SourceError
from jelmon_board.settings import host_of

TIMEOUT_SECONDS = 8.0
MAX_BYTES = 64 * 1024 * 1024
T = TypeVar("T")


class Fetcher:
    """An HTTP client for one kind of server, used as an asynchronous context manager."""

    def __init__(self, name: str, *, credentials: Secret | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        self.name = name
        self._credentials = credentials
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # a redirect could lead to another machine; connections are few
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            connector=aiohttp.TCPConnector(limit=16),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def text(self, url: str, **options: Any) -> str:
        """Return the body of a GET as text.

        Raises:
            SourceError: no answer, another status than 200, or too large.
        """
        return (await self._request("GET", url, **options)).decode("utf-8", "replace")

    async def get(self, url: str, kind: type[T], **options: Any) -> T:
        """Return the JSON of a GET as the given type.

        Raises:
            SourceError: no answer, another status than 200, too large, or not that type.
        """
        return self._decode(await self._request("GET", url, **options), kind, url)

    async def post(self, url: str, kind: type[T], **options: Any) -> T:
        """Return the JSON that answers a POST; ``allow`` are other statuses whose body is an answer.

        Raises:
            SourceError: as with `get`.
        """
        return self._decode(await self._request("POST", url, **options), kind, url)

    async def send(self, method: str, url: str, **options: Any) -> None:
        """Send a request whose answer does not matter.

        Raises:
            SourceError: no answer, or another status than 200.
        """
        await self._request(method, url, **options)

    def _decode(self, body: bytes, kind: type[T], url: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"{self.name} at {host_of(url)} sent an unexpected answer: {str(error)[:200]}") from error

    async def _request(self, method: str, url: str, *, allow: tuple[int, ...] = (), **options: Any) -> bytes:
        assert self._session is not None, "use this in an async with block"
        place = f"{self.name} at {host_of(url)}"
        if self._credentials is not None:  # read again each time: passwords change
            encoded = base64.b64encode(self._credentials().encode()).decode()
            options["headers"] = {**options.get("headers", {}), "Authorization": f"Basic {encoded}"}
        try:
            async with self._session.request(method, url, allow_redirects=False, **options) as response:
                body = bytearray()
                async for part in response.content.iter_chunked(256 * 1024):
                    body += part
                    if len(body) > MAX_BYTES:
                        raise SourceError(f"{place} sent more than {MAX_BYTES // 1024 // 1024} MB")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SourceError(f"{place} does not answer{_reason(error, self._timeout)}") from error
        if response.status in (401, 403):
            raise SourceError(f"{place} refuses the board ({response.status})")
        if response.status != 200 and response.status not in allow:
            reason = bytes(body[:300]).decode("utf-8", "replace").strip()
            raise SourceError(f"{place} answered with status {response.status}: {reason}")
        return bytes(body)


def _reason(error: Exception, seconds: float) -> str:
    """Return why nothing came, in words; empty for what says no more."""
    if isinstance(error, TimeoutError):
        return f" within {seconds:.0f} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f": {(error.os_error.strerror or str(error.os_error)).lower()}"
    return f": {type(error).__name__}"
