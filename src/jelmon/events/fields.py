"""Field types with their limits, for the decoder, the JSON Schema and the documents; and closed sets of values."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

Id = Annotated[str, Meta(min_length=1, max_length=256)]
CONTROL = re.compile("[\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]")
Name = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"not": {"pattern": CONTROL.pattern}})]
"""A name that may become a label value. `parse` rejects control characters: a pattern checked by the decoder would
double the cost of decoding, and a scan of the whole payload suffices for almost every event."""
Reason = Annotated[str, Meta(max_length=128)]
Time = Annotated[datetime, Meta(tz=True)]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""`parse` rejects earlier times. They are default dates (year 1, 1970) of producers that did not set a time: one would
spoil the sum of durations for good, and those at the limits of the calendar cannot be converted to UTC."""
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Attempt = Annotated[int, Meta(ge=1, le=1_000_000)]


_SYNONYMS = {"success": "passed", "failure": "failed", "passed": "success", "failed": "failure"}


class _Result(StrEnum):
    """A result: stages succeed, tests and gates pass; each accepts the words of the other (`msgspec` asks here)."""

    @classmethod
    def _missing_(cls, value: object) -> "_Result | None":
        synonym = _SYNONYMS.get(value) if isinstance(value, str) else None
        return cls._value2member_map_.get(synonym)  # type: ignore[return-value] # members of this class


class Outcome(_Result):
    """How a unit of work ended. ``failure``: the work failed; ``error``: the system failed (OpenTelemetry CI/CD)."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Verdict(_Result):
    """The result of a quality gate."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"


class TestOutcome(_Result):
    """How a test ended."""

    __test__ = False  # not a test class, despite its name

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Severity(StrEnum):
    """The severity of a security finding, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
