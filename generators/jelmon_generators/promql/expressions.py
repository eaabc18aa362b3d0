"""The pieces that PromQL is built from: numbers, durations, matching clauses, an expression with its labels."""

from functools import lru_cache
from typing import NamedTuple

NOT_FOR_MATCHING = frozenset({"job", "instance"})
"""Labels of the scrape: signals about the same thing may come from different services."""


class Expression(NamedTuple):
    """PromQL and the labels of its result. ``text`` binds at least as tightly as a comparison."""

    text: str
    labels: frozenset[str]


def number(value: float) -> str:
    """Return a number as PromQL writes it, without floating-point noise."""
    return f"{value:.12g}"


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@lru_cache(maxsize=4096)
def string(text: str) -> str:
    """Return a string as PromQL writes it, in quotes. What no editor shows is escaped as well."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(_ESCAPES.get(one) or (one if one.isprintable() else _code_point(one)) for one in text)}"'


def _code_point(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def labelled(vector: str, name: str, value: str) -> str:
    """Return a vector with one label set. ``$1`` in a value is not a reference to a group."""
    return f'label_replace({vector}, "{name}", {string(value.replace("$", "$$"))}, "", "")'


@lru_cache(maxsize=4096)
def duration(seconds: float) -> str:
    """Return a duration as Prometheus writes it: ``1h30m``."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@lru_cache(maxsize=4096)
def on(labels: frozenset[str]) -> str:
    """Return ``on (a, b)`` with the labels in order."""
    return f"on ({', '.join(sorted(labels))})"


def shared(left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    """Return the labels by which two signals are matched."""
    return (left & right) - NOT_FOR_MATCHING
