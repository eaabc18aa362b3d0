"""Bytes of a CSV file, perhaps gzipped, to rows of text: bounded, whatever the file pretends to be."""

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from jelmon.errors import ConfigError

MAX_LINE_CHARACTERS = 1_000_000
MAX_FIELD_CHARACTERS = 100_000
_GZIP = b"\x1f\x8b"
_DELIMITERS = ",;\t|"


class Limits(NamedTuple):
    """What a log may cost us."""

    characters: int = 2_000_000_000  # unpacked
    rows: int = 5_000_000


class Line(NamedTuple):
    """A row and the line of the file on which it ends, from 1."""

    number: int
    fields: list[str]
    fault: str = ""  # the row cannot be read


def read_rows(path: Path, *, encoding: str, delimiter: str | None, limits: Limits) -> Iterator[Line]:
    """Yield the rows of the file, the header first.

    Raises:
        ConfigError: no such file, a broken or hostile archive, the wrong encoding, too large.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = io.BufferedReader(gzip.GzipFile(fileobj=raw), 262_144) if packed else raw
            # undecodable bytes become lone surrogates, so that the faulty row can be named
            with io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="") as text:
                yield from _rows(text, path, encoding, delimiter, limits)
    except (LookupError, UnicodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as {encoding}: {error}",
            hint="set the encoding: --encoding utf-8, latin-1, utf-16",
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: the gzip archive is broken: {error}", hint="check it with `gzip -t`") from error
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", hint="give the path of a CSV file, gzipped or not"
        ) from error


def _rows(stream: TextIO, path: Path, encoding: str, delimiter: str | None, limits: Limits) -> Iterator[Line]:
    lines = _Lines(stream, path, limits)
    first = next(lines, "")
    if not first.strip():
        raise ConfigError(f"{path}: the first line is empty", hint="it must name the columns")
    if first.lstrip().startswith("<"):
        raise ConfigError(f"{path}: this is XML, not CSV", hint="convert XES to CSV, for example with pm4py")
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter or _delimiter(first))
    count = 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(lines.number, [], f"invalid CSV: {error}")
            continue
        if not fields:
            continue
        count += 1
        if count > limits.rows + 1:
            raise ConfigError(
                f"{path}: more than {limits.rows} rows",
                hint="split the log, or raise --max-rows (about 1 kB of memory per row)",
            )
        yield Line(lines.number, fields, "" if all(map(_is_text, fields)) else f"not {encoding}")


def _is_text(field: str) -> bool:
    if field.isascii():
        return True
    try:
        field.encode()
    except UnicodeEncodeError:
        return False
    return True


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


class _Lines(Iterator[str]):
    """Lines of text, limited in length and in total."""

    def __init__(self, stream: TextIO, path: Path, limits: Limits) -> None:
        self.number = 0
        self._stream = stream
        self._path = path
        self._limits = limits
        self._left = limits.characters

    def __next__(self) -> str:
        line = self._stream.readline(MAX_LINE_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._left -= len(line)
        if self._left < 0:
            raise ConfigError(
                f"{self._path}: more than {self._limits.characters} characters",
                hint="split the log, or raise --max-characters; an archive that unpacks to this much may be an attack",
            )
        if len(line) > MAX_LINE_CHARACTERS:
            raise ConfigError(
                f"{self._path}:{self.number}: a line of more than {MAX_LINE_CHARACTERS} characters",
                hint="an event log has one row per line",
            )
        return line.removeprefix("\ufeff") if self.number == 1 else line
