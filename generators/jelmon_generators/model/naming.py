"""Names that people give, and the rule that each is given once."""

import re
from typing import Any, TypeVar

from jelmon.config.strict_yaml import Place

IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")

T = TypeVar("T")


def add(table: dict[str, T], name: str, value: T, place: Place, what: str, pattern: re.Pattern[str]) -> None:
    """Put something under its name, unless the name is no name or is taken."""
    if not pattern.fullmatch(name):
        place.refuse(f"{what} {name!r} is not a name", hint="small letters, digits and '_', beginning with a letter")
    if name in table:
        first: Any = table[name]
        place.refuse(f"{what} {name!r} is defined twice", hint=f"first at {first.fields.place}")
    else:
        table[name] = value
