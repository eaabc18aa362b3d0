"""A client of Redis that reads its password again for each connection, as its file may be renewed."""

from collections.abc import Callable

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from jelmon.errors import ConfigError


def client_of(url: str, *, password: Callable[[], str] | None, timeout: float) -> redis.asyncio.Redis:
    """Return a client that tries everything once, without connecting.

    Raises:
        ValueError, TypeError, redis.exceptions.RedisError: the URL is invalid.
    """
    client = redis.asyncio.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )
    options = client.connection_pool.connection_kwargs
    if password is not None:
        options["credential_provider"] = _Credentials(options.pop("username", None), password)
    # options in the URL are checked only here
    client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    return client


class _Credentials(CredentialProvider):
    def __init__(self, user: str | None, password: Callable[[], str]) -> None:
        self._user = user
        self._password = password

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        try:
            password = self._password()
        except ConfigError as error:  # perhaps being renewed at this moment
            raise redis.exceptions.AuthenticationError(error.message) from error
        return (self._user, password) if self._user else (password,)
