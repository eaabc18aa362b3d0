"""The symbols of this process: a request of version 2.0 numbers its strings anew, so they get numbers that last."""

import numpy as np
from numpy.typing import NDArray


class SymbolTable:
    """Numbers strings, as bytes. When it is `full`, begin a new one, together with the keys made of its numbers."""

    def __init__(self, *, limit: int = 4_000_000, limit_bytes: int = 256 * 1024 * 1024) -> None:
        self._numbers: dict[bytes, int] = {}
        self._limit = limit
        self._left_bytes = limit_bytes

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return len(self._numbers) >= self._limit or self._left_bytes <= 0

    def numbers(self, symbols: list[bytes]) -> NDArray[np.uint32]:
        """Return the number of each string."""
        get = self._numbers.get
        found = [get(symbol, -1) for symbol in symbols]
        if -1 in found:
            for position, (symbol, number) in enumerate(zip(symbols, found, strict=True)):
                if number < 0:
                    before = len(self._numbers)
                    found[position] = self._numbers.setdefault(symbol, before)
                    if len(self._numbers) > before:
                        self._left_bytes -= len(symbol)
        return np.array(found, np.uint32)
