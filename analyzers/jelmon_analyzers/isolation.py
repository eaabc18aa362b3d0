"""Keeps an error of one analyzer away from the others, and one event or series from ending the analysis of all."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from jelmon import catalogue as c
from jelmon.service.registry import Instruments

logger = logging.getLogger(__name__)

Step = Literal["event", "cycle"]


class Isolation:
    """Counts errors instead of raising them, and logs the first of each kind with its place."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._logged: set[tuple[str, Step, type[Exception]]] = set()

    @contextmanager
    def of(
        self, analyzer: str, step: Step, on_error: Callable[[], None] = lambda: None, **facts: object
    ) -> Iterator[None]:
        """End the block at an error, then call ``on_error``. ``facts`` are for the log: an event's id and type."""
        try:
            yield
        except Exception as error:
            kind = (analyzer, step, type(error))
            if kind not in self._logged:
                self._logged.add(kind)
                logger.exception("an analyzer failed", extra={"analyzer": analyzer, "step": step, **facts})
            self._instruments.inc(c.ANALYZER_ERRORS, analyzer=analyzer, step=step)
            on_error()
