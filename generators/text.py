"""Pieces of text: a banner, a Markdown table, names in camel case."""

from collections.abc import Iterable, Sequence


def banner(source: str) -> str:
    """The first line of a generated document."""
    return f"<!-- generated from {source}, do not edit -->"


def camel(name: str) -> str:
    """``group_wait`` becomes ``groupWait``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def escaped(text: str) -> str:
    """Text that cannot end a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; cells are escaped here."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines.extend(f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows)
    return lines
