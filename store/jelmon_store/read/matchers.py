"""Label matchers with the semantics of Prometheus: RE2, anchored, and a missing label is an empty one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import re2

from jelmon.errors import JelmonError

METRIC_NAME = "__name__"
_MAX_PROGRAM_BYTES = 8 << 20
"""Memory of one compiled regex. RE2 runs in linear time, so this is all that a hostile pattern could waste."""


class QueryError(JelmonError):
    """A query is invalid or exceeds a limit; the same query would fail again."""


class MatcherKind(IntEnum):
    """The numbers are those of ``prometheus.LabelMatcher.Type``."""

    EQUAL = 0
    NOT_EQUAL = 1
    REGEX = 2
    NOT_REGEX = 3


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on the value of one label.

    Raises:
        QueryError: the regex is invalid.
    """

    kind: MatcherKind
    name: str
    value: str
    _regex: Any = field(init=False, repr=False, compare=False, default=None)
    _seen: dict[str, bool] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind in (MatcherKind.REGEX, MatcherKind.NOT_REGEX):
            options = re2.Options()
            options.log_errors = False
            options.never_capture = True
            options.dot_nl = True
            options.max_mem = _MAX_PROGRAM_BYTES
            try:
                object.__setattr__(self, "_regex", re2.compile(self.value, options))
            except re2.error as error:
                reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
                raise QueryError(
                    f"matcher for label {self.name!r}: invalid regex: {reason}", hint="regexes use the syntax of RE2"
                ) from error

    def matches(self, value: str) -> bool:
        """Return whether a label value satisfies the matcher; a missing label has the value ``""``."""
        known = self._seen.get(value)
        if known is None:
            known = self._seen[value] = self._test(value)
        return known

    def _test(self, value: str) -> bool:
        match self.kind:
            case MatcherKind.EQUAL:
                return value == self.value
            case MatcherKind.NOT_EQUAL:
                return value != self.value
            case MatcherKind.REGEX:
                return self._regex.fullmatch(value) is not None
            case MatcherKind.NOT_REGEX:
                return self._regex.fullmatch(value) is None


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether a label set satisfies every matcher."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)
