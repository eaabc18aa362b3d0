"""Reads dumps of Prometheus blocks: ``promtool tsdb dump-openmetrics``, and ``promtool tsdb dump``."""

import re
import struct
from collections.abc import Iterable, Iterator

from jelmon.errors import JelmonError

_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*,?')
_QUOTED_NAME = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*,?')
_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?(\{(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*\})?[ \t]+(\S+)(?:[ \t]+(\S+))?")
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}

Labels = tuple[tuple[str, str], ...]


def read_dump(lines: Iterable[str], name: str) -> Iterator[tuple[Labels, bytes, int]]:
    """Yield labels, the 8 bytes of the value, and the time in milliseconds of each sample.

    Raises:
        JelmonError: a line cannot be read, or has no time.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            yield _sample(line)
        except (ValueError, OverflowError) as error:
            raise JelmonError(
                f"{name}:{number}: {error}",
                hint="the file must be the output of `promtool tsdb dump-openmetrics` or `promtool tsdb dump`",
            ) from error


def _sample(line: str) -> tuple[Labels, bytes, int]:
    found = _LINE.match(line)
    if found is None:
        raise ValueError(f"not a sample: {line.strip()[:80]!r}")
    metric, braces, value, time = found.groups()
    if time is None or time.startswith("#"):
        raise ValueError("the sample has no time")
    labels = _labels(braces[1:-1]) if braces else {}
    if metric:
        labels["__name__"] = metric
    if "__name__" not in labels:
        raise ValueError("the sample has no metric name")
    # `tsdb dump` puts the name into the braces and writes milliseconds
    milliseconds = round(float(time) * 1000) if metric else int(time)
    return tuple(sorted(labels.items())), _bits(value), milliseconds


def _labels(inside: str) -> dict[str, str]:
    labels, position = {}, 0
    while position < len(inside.rstrip()):
        if found := _LABEL.match(inside, position):
            labels[found[1]] = _unescape(found[2])
        elif (found := _QUOTED_NAME.match(inside, position)) is not None:
            labels["__name__"] = _unescape(found[1])
        else:
            raise ValueError(f"cannot read the label at {inside[position:][:40]!r}")
        position = found.end()
    return labels


def _unescape(text: str) -> str:
    return re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), text) if "\\" in text else text


def _bits(text: str) -> bytes:
    return struct.pack("<d", float(text))
