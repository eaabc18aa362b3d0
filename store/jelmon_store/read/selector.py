"""Series selectors as people write them: ``up{job="api", instance!~"test.*"}``."""

import json
import re

from jelmon.errors import ConfigError
from jelmon_store.read.matchers import METRIC_NAME, Matcher, MatcherKind, QueryError

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*")
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)\s*"""
)
_KINDS = {
    "=": MatcherKind.EQUAL,
    "!=": MatcherKind.NOT_EQUAL,
    "=~": MatcherKind.REGEX,
    "!~": MatcherKind.NOT_REGEX,
}


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a selector; at least one must not match everything, as in Prometheus.

    Raises:
        ConfigError: it is not a selector.
    """
    matchers = []
    position = 0
    if name := _NAME.match(text):
        matchers.append(Matcher(MatcherKind.EQUAL, METRIC_NAME, name[1]))
        position = name.end()
    rest = text[position:].strip()
    try:
        if rest:
            if not (rest.startswith("{") and rest.endswith("}")):
                raise _refusal(text, 'expected {label="value", ...} behind the name')
            matchers += _matchers(text, rest[1:-1])
    except QueryError as error:
        raise ConfigError(f"selector {text!r}: {error.message}", hint=error.hint) from error
    if all(matcher.matches("") for matcher in matchers):
        raise _refusal(text, "it must contain a matcher that does not match an empty value")
    return tuple(matchers)


def _matchers(text: str, inside: str) -> list[Matcher]:
    matchers = []
    position = 0
    while position < len(inside.rstrip()):
        found = _MATCHER.match(inside, position)
        if found is None:
            raise _refusal(text, f"cannot read {inside[position:].strip()!r}")
        matchers.append(Matcher(_KINDS[found[2]], found[1], _unquote(text, found[3])))
        position = found.end()
        if position < len(inside):
            if inside[position] != ",":
                raise _refusal(text, f"expected a comma before {inside[position:].strip()!r}")
            position += 1
    return matchers


def _unquote(text: str, quoted: str) -> str:
    if quoted[0] == "`":
        return quoted[1:-1]
    inside = quoted[1:-1]
    if quoted[0] == "'":
        inside = inside.replace("\\'", "'").replace('"', '\\"')
    try:
        return str(json.loads(f'"{inside}"', strict=False))
    except ValueError as error:
        raise _refusal(text, f"unknown escape in {quoted}") from error


def _refusal(text: str, reason: str) -> ConfigError:
    return ConfigError(f"selector {text!r}: {reason}", hint='write \'up{job="api", instance=~"host-.*"}\', for example')
