"""Long lists in pages, so that none is ever rendered as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of one page; pages are counted from 1."""

    rows: Sequence[T]
    number: int
    pages: int
    total: int

    @property
    def previous(self) -> int:
        """Number of the page before; 0 for none."""
        return self.number - 1

    @property
    def next(self) -> int:
        """Number of the next page; 0 for none."""
        return self.number + 1 if self.number < self.pages else 0


def page_of(rows: Sequence[T], number: str | None, size: int) -> Page[T]:
    """Return one page of a list; the nearest one for a number that does not exist."""
    pages = max(1, -(-len(rows) // size))
    wanted = int(number) if number and number.isascii() and number.isdigit() and len(number) < 8 else 1
    own = min(max(1, wanted), pages)
    return Page(rows[(own - 1) * size : own * size], own, pages, len(rows))
