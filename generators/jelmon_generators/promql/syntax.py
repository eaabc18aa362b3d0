"""Spellings that our parser reads, and not every supported Prometheus does."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from jelmon_generators.targets import Target, Version, written


class Spelling(NamedTuple):
    """A way to write something. ``flag``: no version reads it without that feature flag."""

    pattern: re.Pattern[str]  # of its group, in an expression whose strings are blanked out
    what: str
    since: Version
    instead: str
    flag: str = ""


_UNIT = r"(?:ms|[smhdwy])"
SPELLINGS = (
    Spelling(
        re.compile(rf"\[[^\[\]]*\]|\boffset\s+-?\s*\w+|(?<![\w.:])((?:\d+{_UNIT})+)(?![\w:])"),
        "a duration for a number",
        (2, 54),
        "write seconds",
    ),
    Spelling(
        re.compile(r"(?:\[|:|\boffset\s)\s*-?(\d+)\s*(?:[:\]\s)]|$)"),
        "a number for a duration",
        (2, 54),
        "write it with a unit: 5m",
    ),
    Spelling(
        re.compile(
            r'\{(?:[^{}]*,)?\s*(" *")(?=\s*[,}=!])|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)"]*(" *")'
        ),
        "a name in quotes",
        (3, 0),
        "write it without quotes",
    ),
    Spelling(
        re.compile(r"\b(fill(?:_left|_right)?)\s*\(\s*[-+\d]"),
        "fill()",
        (3, 10),
        "say what holds without the other side with 'or'",
        "promql-binop-fill-modifiers",
    ),
)
_STRING = re.compile(r'"(?:[^"\\]+|\\.)*"|\'(?:[^\'\\]+|\\.)*\'|`[^`]*`')
_ORDINARY = re.compile(rf"{_STRING.pattern}|\[(?:\d+{_UNIT})+\]")
_SUSPECTS = [re.compile(one) for one in (rf"[^\w.:]\d+{_UNIT}", r"[\[:]\s*\d", "offset", r'[{(,]\s*""', "fill")]


def why_not(expression: str, target: Target) -> Iterator[tuple[str, str, str]]:
    """Message, hint and text to underline, for everything that the target's Prometheus does not read."""
    bare = " " + _ORDINARY.sub('""', expression)
    if not any(one.search(bare) for one in _SUSPECTS):  # most have nothing of the kind, and there are many
        return
    plain = _STRING.sub(lambda match: '"' + " " * (len(match.group()) - 2) + '"', expression)
    for one in SPELLINGS:
        if target.prometheus >= one.since and not one.flag:
            continue
        for match in one.pattern.finditer(plain):
            if match.lastindex:
                start, end = match.span(match.lastindex)
                needs = f"the feature flag {one.flag}" if one.flag else f"Prometheus {written(one.since)}"
                yield f"{one.what} needs {needs}", one.instead, expression[start:end]
                break
