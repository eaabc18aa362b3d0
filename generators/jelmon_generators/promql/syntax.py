"""Spellings that our parser accepts, but not every supported Prometheus."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from jelmon_generators.checks import FEATURE
from jelmon_generators.promql.faults import Fault
from jelmon_generators.targets import Target, Version, written


class Spelling(NamedTuple):
    """A way to write something. ``flag``: no version accepts it without that feature flag."""

    pattern: re.Pattern[str]  # its group matches, in an expression with blanked-out strings
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
        "use 'or' for series without a counterpart",
        "promql-binop-fill-modifiers",
    ),
)
_STRING = re.compile(r'"(?:[^"\\]+|\\.)*"|\'(?:[^\'\\]+|\\.)*\'|`[^`]*`')
_ORDINARY = re.compile(rf"{_STRING.pattern}|\[(?:\d+{_UNIT})+\]")
_SUSPECTS = [re.compile(pattern) for pattern in (rf"[^\w.:]\d+{_UNIT}", r"[\[:]\s*\d", "offset", r'[{(,]\s*""', "fill")]


def why_not(expression: str, target: Target) -> Iterator[Fault]:
    """Yield a fault for every spelling that the target's Prometheus does not accept."""
    bare = " " + _ORDINARY.sub('""', expression)
    if not any(suspect.search(bare) for suspect in _SUSPECTS):  # true of most, and there are many
        return
    plain = _STRING.sub(lambda match: '"' + " " * (len(match.group()) - 2) + '"', expression)
    for spelling in SPELLINGS:
        if target.prometheus >= spelling.since and not spelling.flag:
            continue
        for match in spelling.pattern.finditer(plain):
            if match.lastindex:
                start, end = match.span(match.lastindex)
                needs = (
                    f"the feature flag {spelling.flag}" if spelling.flag else f"Prometheus {written(spelling.since)}"
                )
                yield Fault(FEATURE, f"{spelling.what} needs {needs}", spelling.instead, expression[start:end])
                break
