"""Names of definitions: their form, and that each is used once."""

import re
from typing import Any, TypeVar

from jelmon.config.strict_yaml import Place
from jelmon_generators.checks import DUPLICATE
from jelmon_generators.checks import NAME as NAMING

IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")

T = TypeVar("T")


def add(table: dict[str, T], name: str, value: T, place: Place, what: str, pattern: re.Pattern[str]) -> None:
    """Add a definition under its name; report a name that is malformed or already in use."""
    if not pattern.fullmatch(name):
        NAMING.report(
            place,
            f"{what} {name!r} is not a valid name",
            hint="use lower-case letters, digits and '_', starting with a letter",
        )
    if name in table:
        first: Any = table[name]
        DUPLICATE.report(place, f"{what} {name!r} is defined twice", hint=f"first at {first.fields.place}")
    else:
        table[name] = value
