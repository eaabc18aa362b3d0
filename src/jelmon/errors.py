"""The error tree.

::

    JelmonError            anything we raise on purpose; ``cli.main`` prints it without a traceback
    ├── ConfigError        a setting, a flag or the environment is wrong        (exit code 2)
    ├── DefinitionError    hand-written files are wrong; carries the problems   (exit code 2)
    ├── EventError         an event cannot be accepted; carries a reason
    └── SourceError        a server or another outside part does not answer     (exit code 1)
"""

from dataclasses import dataclass
from enum import StrEnum


class JelmonError(Exception):
    """Base of every error raised on purpose. ``hint`` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(JelmonError):
    """A setting, a flag or the environment is wrong; retrying cannot help."""

    exit_code = 2


class SourceError(JelmonError):
    """A server does not answer, or answers wrongly; retrying may help."""


class Rejection(StrEnum):
    """Why an event was not accepted; a label value of ``jelmore_exporter_events_parked_total``."""

    OVERSIZED = "oversized"  # larger than events.MAX_EVENT_BYTES
    MALFORMED = "malformed"  # not JSON, not UTF-8, nested too deep
    UNKNOWN_TYPE = "unknown_type"  # a ``type`` outside the vocabulary
    INVALID = "invalid"  # a known type with a wrong or missing field


class EventError(JelmonError):
    """An event cannot be accepted. ``reason`` is a closed set, fit for a label."""

    def __init__(self, message: str, *, reason: Rejection, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in a hand-written file. ``line`` counts from 1; 0 means the file as a whole."""

    path: str
    line: int
    message: str
    hint: str = ""
    text: str = ""  # the guilty line, for quoting
    column: int = 0  # where in the line the fault begins, from 1; 0 underlines nothing
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
    """Hand-written files are wrong. All problems of all files at once, in file order."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__("\n".join([*map(str, self.problems), f"{count} {noun} found"]))
