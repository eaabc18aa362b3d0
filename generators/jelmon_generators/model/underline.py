"""Locating a piece of an expression in the file that it was written in."""

import re

from jelmon.config.strict_yaml import Place


def underlined(place: Place, needle: str) -> Place:
    """Return the place of a piece of an expression that may span lines; the expression's place when it is not found."""
    if needle:
        pattern = re.compile(rf"(?<![\w:]){re.escape(needle)}(?![\w:])" if needle.isidentifier() else re.escape(needle))
        for line in range(place.line, len(place.source.lines) + 1):
            text = place.source.lines[line - 1]
            start = place.column - 1 if line == place.line else 0
            match = pattern.search(text, start)
            if match:
                return Place(place.source, line, match.start() + 1, len(needle))
    return place
