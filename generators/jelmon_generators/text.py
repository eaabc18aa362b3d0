"""Text of generated files: banners, Markdown tables, JSON, quoted YAML, names in camel case."""

import json
import re
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring

import msgspec

_NEEDS_ESCAPES = re.compile(r"['\\\x00-\x1f]")


def banner(source: str) -> str:
    """Return the first line of a generated document."""
    return f"<!-- generated from {source}, do not edit -->"


def camel(name: str) -> str:
    """Return a name in camel case: ``group_wait`` becomes ``groupWait``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def json_text(plain: object, *, sort_keys: bool = False) -> str:
    """Return JSON for people and diffs. The standard library's own indentation takes four times as long."""
    compact = json.dumps(plain, sort_keys=sort_keys, ensure_ascii=False)
    return msgspec.json.format(compact, indent=2) + "\n"


def escaped(text: str) -> str:
    """Return text that cannot end a table cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells are escaped here."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines.extend(f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows)
    return lines


def quoted(text: str) -> str:
    """Return a YAML string that every reader reads as a string, in quotes that need no escapes where possible."""
    if '"' in text:
        # the first condition is true of most strings with quotes, and cheap
        plain = "'" not in text and "\\" not in text and text.isprintable()
        if plain or not _NEEDS_ESCAPES.search(text):
            return f"'{text}'"
    return encode_basestring(text)
