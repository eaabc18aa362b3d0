"""``jelmon store migrate``: makes or migrates the tables and exits."""

import argparse

from jelmon_store.commands.connection import connected
from jelmon_store.maintenance.partitions import flavour
from jelmon_store.settings import add_database_argument

KINDS = {
    "postgresql": "PostgreSQL with native partitions",
    "apache": "TimescaleDB, Apache edition",
    "community": "TimescaleDB, Community edition",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flag with the database."""
    add_database_argument(parser, default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Migrate, and say what the tables are."""
    with connected(args) as connection:
        row = connection.execute(
            "SELECT max(version) FROM jelmore.schema_migrations WHERE component = 'store'"
        ).fetchone()
        assert row is not None
        print(f"schema version {row[0]}; {KINDS[flavour(connection)]}")
    return 0
