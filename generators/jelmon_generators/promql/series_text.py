"""A series as people and promtool write it: ``name{label="value"}``."""

import re

_SERIES = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?")
_LABEL = re.compile(r'\s*(\w+)\s*=\s*"([^"]*)"\s*,?')


def is_series(text: str) -> bool:
    """Return whether the text is a series."""
    match = _SERIES.fullmatch(text)
    return match is not None and not _LABEL.sub("", match.group(2) or "").strip()


def parsed(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the labels of a series."""
    match = _SERIES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a series")
    return match.group(1), dict(_LABEL.findall(match.group(2) or ""))
