"""The error tree.

::

    JelmonError            any error raised on purpose; ``cli.main`` prints it without a traceback
    ├── ConfigError        a setting, a flag or the environment is invalid      (exit code 2)
    ├── DefinitionError    hand-written files are invalid; has the problems     (exit code 2)
    ├── EventError         an event is rejected; has a reason
    └── SourceError        a server or another dependency does not respond      (exit code 1)
"""

from dataclasses import dataclass
from enum import StrEnum


class JelmonError(Exception):
    """Base of every error raised on purpose. ``hint`` says how to fix it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(JelmonError):
    """A setting, a flag or the environment is invalid; retrying cannot help."""

    exit_code = 2


class SourceError(JelmonError):
    """A server does not respond, or responds with an error; retrying may help."""


class Rejection(StrEnum):
    """Why an event was rejected; a label value of ``jelmore_exporter_events_parked_total``."""

    OVERSIZED = "oversized"  # exceeds events.MAX_EVENT_BYTES
    MALFORMED = "malformed"  # not JSON, not UTF-8, nested too deep
    UNKNOWN_TYPE = "unknown_type"  # a ``type`` outside the vocabulary
    INVALID = "invalid"  # a known type with an invalid or missing field
    UNCOUNTABLE = "uncountable"  # valid, but counting it raised an error: a fault of the exporter


class EventError(JelmonError):
    """An event is rejected. ``reason`` is from a closed set, so that it can be a label."""

    def __init__(self, message: str, *, reason: Rejection, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One error in a hand-written file. ``line`` starts at 1; 0 means the whole file."""

    path: str
    line: int
    message: str
    hint: str = ""
    text: str = ""  # the line, to quote it
    column: int = 0  # position of the error in the line, starting at 1; 0 underlines nothing
    width: int = 0
    check: str = ""  # id of the check that reported it, such as JM012

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        parts = [f"{place}: {self.message}" + (f" [{self.check}]" if self.check else "")]
        if self.text.strip():
            parts.append(f"    {self.line:>4} | {self.text.rstrip()}")
            if self.column:
                parts.append(f"         | {' ' * (self.column - 1)}{'^' * max(1, self.width)}")
        if self.hint:
            parts.append(f"    hint: {self.hint}")
        return "\n".join(parts)


class DefinitionError(JelmonError):
    """Hand-written files are invalid. Has all problems of all files, in file order."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join([*map(str, self.problems), f"{plural(len(self.problems), 'problem')} found"]))


def plural(count: float, noun: str) -> str:
    """Return ``1 silence`` or ``2 silences``."""
    number = f"{count:g}" if isinstance(count, float) else f"{count:,}"
    return f"{number} {noun}{'s' * (count != 1)}"
