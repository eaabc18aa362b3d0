"""The tables of one service, as numbered SQL files: ``NNNN_name.<database>.sql``, each applied once, in order.

A released file never changes; a change of a table is a new file.
"""

import re
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from jelmon.errors import ConfigError

_TABLE = re.compile(r"CREATE TABLE (\w+)")
Dialect = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; versions are 1, 2, 3 and so on."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of one component.

    ``component`` is its name in ``schema_migrations``, ``package`` the package that holds its SQL files; ``title`` and
    ``option`` (the flag with the URL) appear in errors.
    """

    component: str
    package: str
    title: str
    option: str
    uses_user_version: bool = False
    """True for a component whose first releases kept the version in SQLite's ``user_version``; it is kept up to date,
    so that such a release still opens the file. A component without it can share a file with another component."""

    def migrations(self, dialect: Dialect) -> list[Migration]:
        """Return all steps for one kind of database, in order."""
        steps = []
        for entry in resources.files(self.package).iterdir():
            stem, _, rest = entry.name.partition(".")
            if rest == f"{dialect}.sql":
                version, _, name = stem.partition("_")
                steps.append(Migration(int(version), name, entry.read_text(encoding="utf-8")))
        steps.sort(key=lambda step: step.version)
        assert [step.version for step in steps] == list(range(1, len(steps) + 1)), "a migration is missing"
        return steps

    @property
    def first_table(self) -> str:
        """The first table that was ever created in SQLite, by which a file of the first releases is recognized."""
        found = _TABLE.search(self.migrations("sqlite")[0].sql)
        return found[1] if found else ""

    def pending(self, dialect: Dialect, applied: int) -> list[Migration]:
        """Return the steps that a database at version ``applied`` lacks.

        Raises:
            ConfigError: a newer program has migrated the database.
        """
        steps = self.migrations(dialect)
        if applied > len(steps):
            raise ConfigError(
                f"{self.title} has schema version {applied}; this program supports versions up to {len(steps)}",
                hint="a newer jelmon has used this database: upgrade this one",
            )
        return steps[applied:]
