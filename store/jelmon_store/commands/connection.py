"""The connection of a command: one, synchronous, to a database that is up to date."""

import argparse
import asyncio
import contextlib
import os
from collections.abc import Iterator

import psycopg

from jelmon.config.reader import SettingsReader
from jelmon.database.postgres import PostgresDatabase
from jelmon.errors import SourceError
from jelmon_store.maintenance.partitions import Connection, connect
from jelmon_store.schema import SCHEMA
from jelmon_store.settings import read_database_url


@contextlib.contextmanager
def connected(args: argparse.Namespace) -> Iterator[Connection]:
    """Yield a connection to the database of the arguments, after migrating it.

    Raises:
        SourceError: the database does not respond, or refuses a statement.
        ConfigError: there is no URL.
    """
    url = read_database_url(SettingsReader(args, os.environ))
    asyncio.run(migrate(url))
    try:
        with connect(url, name="jelmon-store-command") as connection:
            yield connection
    except psycopg.Error as error:
        raise SourceError(
            f"{SCHEMA.title} is unavailable: {str(error).strip().partition(chr(10))[0]}",
            hint="is PostgreSQL up, and may this user access the schema jelmore?",
        ) from error


async def migrate(url: str) -> None:
    """Make or migrate the tables.

    Raises:
        SourceError: the database does not respond.
    """
    database = PostgresDatabase(url, SCHEMA)
    try:
        await database.start()
    finally:
        await database.stop()
