"""Connections that only read, as many as requests may run at a time; each is used by one thread at a time."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg

from jelmon_store.read.samples import prepare
from jelmon_store.read.selection import Connection

CONNECT_TIMEOUT_SECONDS = 5


class ReadConnections:
    """Idle connections to one database; opened when needed, dropped when broken."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._url = url
        # arrays of samples want memory, and compiling a query takes longer than most of these run
        self._options = (
            f"-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout={round(timeout_seconds * 1000)} "
            "-c work_mem=64MB -c jit=off"
        )
        self._lock = threading.Lock()
        self._idle: list[Connection] = []

    @contextlib.contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection for the duration of the block.

        Raises:
            psycopg.OperationalError: the database does not respond.
        """
        connection = self._take() or self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()  # a statement may still run, or half of its rows be unread
            raise
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections."""
        while (connection := self._take()) is not None:
            connection.close()

    def _take(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            with contextlib.suppress(psycopg.Error):
                connection.execute("SELECT 1")  # it may have been idle over a restart of the server
                return connection
            connection.close()

    def _connect(self) -> Connection:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="jelmon-store-read",
            options=self._options,
        )
        prepare(connection)
        return connection
