"""Matchers of Alertmanager: of silences and of routes."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from jelmon_board.model.samples import Labels

_TEXT = re.compile(r"^\s*\"?([a-zA-Z_:][\w:.-]*)\"?\s*(=~|!~|!=|=)\s*(.*?)\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; an absent label is empty."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def fits(self, labels: Labels) -> bool:
        """Return whether the labels meet it. A regex that this program cannot use meets nothing."""
        own = labels.get(self.name, "")
        if not self.is_regex:
            return (own == self.value) is self.is_equal
        pattern = _compiled(self.value)
        return pattern is not None and (pattern.fullmatch(own) is not None) is self.is_equal

    def __str__(self) -> str:
        operator = ("=~" if self.is_equal else "!~") if self.is_regex else ("=" if self.is_equal else "!=")
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{operator}"{value}"'

    @classmethod
    def parse(cls, text: str) -> "Matcher | None":
        """Parse a matcher in the syntax of configuration files; return None if the text is not one."""
        found = _TEXT.match(text)
        if found is None:
            return None
        name, operator, value = found.groups()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value[1:-1])
        return cls(name, value, operator in ("=~", "!~"), operator in ("=", "=~"))


@lru_cache(maxsize=2000)
def _compiled(pattern: str) -> Any:
    """Return the compiled pattern; None if it is invalid. RE2, as in Alertmanager: no pattern takes long."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        return None
