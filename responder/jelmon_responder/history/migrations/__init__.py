"""The tables of the alert history, as numbered SQL files: ``NNNN_what.<database>.sql``, applied in order, once each.

A file that has been released is never changed; a change of a table is a new file.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Literal

from jelmon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


def migrations(database: Literal["sqlite", "postgresql"]) -> list[Migration]:
    """All steps for one database, in order; versions are 1, 2, 3 and so on."""
    found = []
    for entry in resources.files(__name__).iterdir():
        stem, _, rest = entry.name.partition(".")
        if rest == f"{database}.sql":
            version, _, name = stem.partition("_")
            found.append(Migration(int(version), name, entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.version)
    assert [migration.version for migration in found] == list(range(1, len(found) + 1)), "a migration is missing"
    return found


def refuse_newer(applied: int, known: int) -> None:
    """Refuse a database that a newer program has migrated.

    Raises:
        ConfigError: it has steps we do not know.
    """
    if applied > known:
        raise ConfigError(
            f"the alert history has schema version {applied}, this program knows up to {known}",
            hint="a newer jelmon has used this database: upgrade this one",
        )
