"""Choose the database for a history URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from jelmon.errors import ConfigError
from jelmon_responder.history.protocol import AlertHistory


def open_history(url: str) -> AlertHistory:
    """Return the history at a URL, not yet started.

    Raises:
        ConfigError: the URL does not name a supported database.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from jelmon_responder.history.sqlite import SqliteHistory

        path = unquote(urlsplit(url).path)
        if urlsplit(url).netloc or not path:
            raise ConfigError(
                f"--history.url: {url!r} does not name a file",
                hint="write sqlite:///var/lib/jelmon/history.db, or sqlite:history.db for the working directory",
            )
        return SqliteHistory(Path(path))
    if scheme in ("postgresql", "postgres"):
        from jelmon_responder.history.postgres import PostgresHistory

        return PostgresHistory(url)
    raise ConfigError(
        f"--history.url: unsupported database {scheme + ':' if scheme != url else url!r}",
        hint="write sqlite:///path/to/history.db or postgresql://user@host/database",
    )
