"""Progress of a long task on stderr: a bar on a terminal, an occasional line in a log."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

_BAR_SECONDS = 0.1
_LINE_SECONDS = 5.0
_WIDTH = 30


class Progress:
    """A context manager; `show` may be called at any rate."""

    def __init__(self, total: int, noun: str, *, stream: TextIO | None = None) -> None:
        self._total = max(total, 1)
        self._noun = noun
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._begin = time.monotonic()
        self._next = self._begin + (_BAR_SECONDS if self._is_terminal else _LINE_SECONDS)
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_terminal:
            self._draw(time.monotonic())
            self._stream.write("\n")
            self._stream.flush()

    def show(self, done: int, *, total: int | None = None) -> None:
        """Record how much is done, and of how much if that is known only now; draw if an update is due."""
        self._done = done
        if total is not None:
            self._total = max(total, 1)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (_BAR_SECONDS if self._is_terminal else _LINE_SECONDS)
            self._draw(now)

    def _draw(self, now: float) -> None:
        share = min(1.0, self._done / self._total)
        rate = self._done / max(now - self._begin, 1e-9)
        text = f"{share:4.0%}  {self._done} {self._noun}, {rate:.0f}/s"
        if self._is_terminal:
            full = int(share * _WIDTH)
            self._stream.write(f"\r\x1b[K[{'#' * full}{'.' * (_WIDTH - full)}] {text}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
