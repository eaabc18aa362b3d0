"""A ``/metrics`` page, Prometheus text or OpenMetrics, to families of metrics.

Pages of real services have faults that do not change what a metric is: a second TYPE, a byte order mark, a missing last
newline, lines of a family that are apart. Those are tolerated with a warning; what cannot be read is refused with its
line.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

TYPES = ("counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown", "untyped")
_METADATA = re.compile(r'#[ \t]*(HELP|TYPE|UNIT)[ \t]+("(?:[^"\\]|\\.)*"|[^ \t]+)[ \t]*(.*)')
_NAME = re.compile(r"[a-zA-Z_:][\w:]*", re.ASCII)
_LABEL_NAME = re.compile(r'[a-zA-Z_][\w]*|"(?:[^"\\]|\\.)*"', re.ASCII)
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|0x[\da-f]+|inf(?:inity)?|nan)", re.IGNORECASE)
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": ("_sum", "_count", "_created"),
    "info": ("_info",),
}


class PageError(Exception):
    """A page cannot be read: the line, and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Note(NamedTuple):
    """Something odd that is tolerated."""

    line: int
    text: str


@dataclass(slots=True)
class Family:
    """One metric, as a page shows it."""

    name: str
    type: str = ""
    help: str = ""
    unit: str = ""
    line: int = 0  # of its first mention
    conflict: str = ""  # why its type is not known
    labels: dict[str, set[str]] = field(default_factory=dict)  # without le and quantile
    buckets: set[float] = field(default_factory=set)
    samples: int = 0
    suffixes: set[str] = field(default_factory=set)

    def add(self, suffix: str, labels: dict[str, str], line: int) -> None:
        """Take a sample into account.

        Raises:
            PageError: the bound of a bucket is no number.
        """
        self.samples += 1
        self.suffixes.add(suffix)
        own = {"_bucket": "le"}.get(suffix, "quantile" if self.type == "summary" else "")
        for name, value in labels.items():
            if name != own:
                self.labels.setdefault(name, set()).add(value)
            elif own == "le":
                try:
                    self.buckets.add(float(value))
                except ValueError:
                    raise PageError(line, f"le={value!r} is not the bound of a bucket") from None


@dataclass(slots=True)
class Page:
    """What a page says."""

    families: dict[str, Family] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def parse(text: str) -> Page:
    """Return the families of a page, in its order.

    Raises:
        PageError: a line is neither a comment nor a sample.
    """
    page = Page()
    if text.startswith("\ufeff"):
        text = text[1:]
        page.notes.append(Note(1, "a byte order mark"))
    if text and not text.endswith("\n"):
        page.notes.append(Note(text.count("\n") + 1, "no newline at the end: the page may be cut off"))
    last: Family | None = None
    apart: set[str] = set()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line:
            continue
        if line.startswith("#"):
            _comment(line, number, page)
            continue
        name, labels = _sample(line, number)
        family = sample_of(page, name, labels, number)
        if family is not last and family.samples > 1 and family.name not in apart:
            apart.add(family.name)
            page.notes.append(Note(number, f"the samples of {family.name} are not in one place"))
        last = family
    return page


def _comment(line: str, number: int, page: Page) -> None:
    match = _METADATA.fullmatch(line)
    if match is None:
        return  # an ordinary comment, or # EOF
    kind, name, rest = match.groups()
    name = _unquoted(name)
    family = page.families.setdefault(name, Family(name, line=number))
    if kind == "HELP":
        family.help = family.help or rest.replace("\\n", " ").replace('\\"', '"').replace("\\\\", "\\")
    elif kind == "UNIT":
        family.unit = rest
    elif rest not in TYPES:
        raise PageError(number, f"unknown type {rest!r} of {name}")
    elif not family.type:
        family.type = rest
    elif family.type == rest:
        page.notes.append(Note(number, f"a second TYPE of {name}"))
    else:
        family.conflict = f"line {number} says that it is a {rest}, line {family.line} that it is a {family.type}"


def _sample(line: str, number: int) -> tuple[str, dict[str, str]]:
    """Return the name and the labels of a sample; its value must be a number."""
    labels: dict[str, str] = {}
    match = _NAME.match(line)
    name, position = (match.group(), match.end()) if match else ("", 0)
    position = _blank(line, position)
    if position < len(line) and line[position] == "{":
        position = _blank(line, position + 1)
        while position < len(line) and line[position] != "}":
            position, quoted = _label(line, position, number, labels)
            name = quoted or name
            position = _blank(line, position)
            if position < len(line) and line[position] == ",":
                position = _blank(line, position + 1)
            elif position >= len(line) or line[position] != "}":
                raise PageError(number, f"expected ',' or '}}' at column {position + 1}")
        if position >= len(line):
            raise PageError(number, "the labels are not closed")
        position += 1
    if not name:
        raise PageError(number, "neither a comment nor a sample")
    value = line[position:].split()
    if not value or not _NUMBER.fullmatch(value[0]):
        raise PageError(number, f"the value of {name} is {value[0]!r}" if value else f"{name} has no value")
    if len(value) > 1 and value[1] != "#" and not _NUMBER.fullmatch(value[1]):
        raise PageError(number, f"the timestamp of {name} is {value[1]!r}")
    return name, labels


def _label(line: str, position: int, number: int, labels: dict[str, str]) -> tuple[int, str]:
    """Read ``name="value"`` into ``labels``; return the position after it, and a metric's quoted name if it is one."""
    match = _LABEL_NAME.match(line, position)
    if match is None:
        raise PageError(number, f"expected a label at column {position + 1}")
    label, position = _unquoted(match.group()), _blank(line, match.end())
    if position >= len(line) or line[position] != "=":
        if match.group().startswith('"'):
            return position, label
        raise PageError(number, f"expected '=' after {label!r}")
    value = _VALUE.match(line, _blank(line, position + 1))
    if value is None:
        raise PageError(number, f"the value of label {label!r} is not in quotes, or not closed")
    if label in labels:
        raise PageError(number, f"label {label!r} is there twice")
    labels[label] = value.group(1).replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    return value.end(), ""


def _blank(line: str, position: int) -> int:
    while position < len(line) and line[position] in " \t":
        position += 1
    return position


def _unquoted(name: str) -> str:
    return name[1:-1].replace('\\"', '"').replace("\\\\", "\\") if name.startswith('"') else name


def sample_of(page: Page, name: str, labels: dict[str, str], line: int) -> Family:
    """Take a sample into account, and return its family.

    Raises:
        PageError: the bound of a bucket is no number.
    """
    family, suffix = _family_of(name, page, line)
    family.add(suffix, labels, line)
    return family


def _family_of(name: str, page: Page, number: int) -> tuple[Family, str]:
    """Return the family of a sample, and how its name goes on after the family's."""
    known = page.families.get(name)
    if known is not None and known.type not in ("", "histogram"):
        return known, ""
    for suffix in ("_total", "_created", "_bucket", "_sum", "_count", "_info", "_gsum", "_gcount"):
        base = page.families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if base is not None and suffix in _SUFFIXES.get(base.type, ()):
            return base, suffix
    if known is None:
        known = page.families[name] = Family(name, line=number)
    return known, ""


def bounds(family: Family) -> Iterator[float]:
    """Yield the upper bounds of the buckets in ascending order, without ``+Inf``."""
    yield from (bound for bound in sorted(family.buckets) if math.isfinite(bound))
