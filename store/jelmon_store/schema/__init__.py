"""The tables of the store, as numbered SQL files for PostgreSQL 15 and newer, with or without TimescaleDB."""

from jelmon.database.schema import Schema

SCHEMA = Schema(component="store", package=__name__, title="the store", option="--database.url")
