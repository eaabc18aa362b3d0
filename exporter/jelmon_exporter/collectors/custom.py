"""Collectors that users install: entry points of the group ``jelmon.collectors``, functions that return samples.

::

    [project.entry-points."jelmon.collectors"]
    licences = "licences:collect"

    def collect():
        yield "licences_seats_used", "Seats in use.", {"product": "ide"}, 17

The names of a collector's metrics begin with its name. It has a time limit; an exception is logged, sets
``jelmore_exporter_collector_up`` to 0, and affects nothing else.
"""

import asyncio
import contextlib
import inspect
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from jelmon import catalogue as c
from jelmon_exporter.series.cells import SeriesTable, real
from jelmon_exporter.series.text import escape, number, utf8

logger = logging.getLogger(__name__)

GROUP = "jelmon.collectors"
LIMIT_SECONDS = 10.0
MAX_SAMPLES = 1000
_LABEL_LENGTH = 128
_COLLECTOR = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = ("jelmore", "jelmon", "process", "python", "go", "up", "scrape", "system")
_SUFFIXES = ("_bucket", "_count", "_sum", "_created", "_info")

Sample = tuple[str, str, dict[str, str], float]
"""Name, help, labels and value. A name that ends in ``_total`` is a counter, any other one a gauge."""

Collect = Callable[[], Iterable[Sample] | Awaitable[Iterable[Sample]]]


class CollectorError(Exception):
    """A collector broke its contract."""


class CustomCollectors:
    """All installed collectors, each with the samples of its last run."""

    def __init__(
        self, table: SeriesTable, *, limit: float = LIMIT_SECONDS, entries: Iterable[EntryPoint] | None = None
    ) -> None:
        self._table = table
        self._limit = limit
        self._collect: dict[str, Collect] = {}
        self._running: dict[str, threading.Thread] = {}
        self._families: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self._help: dict[str, str] = {}
        installed = sorted(entry_points(group=GROUP) if entries is None else entries, key=lambda entry: entry.name)
        for entry in installed:
            self._load(entry, [other.name for other in installed if other is not entry])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the loaded collectors."""
        return tuple(self._collect)

    def _load(self, entry: EntryPoint, others: list[str]) -> None:
        try:
            _check_name(entry.name, others)
            collect = entry.load()
            if not callable(collect):
                raise CollectorError(f"{entry.value} is not a function")
        except Exception as error:  # a module may raise anything while it is imported
            self._report(entry.name, error)
        else:
            self._collect[entry.name] = collect

    async def collect(self) -> None:
        """Run all collectors concurrently. Their errors are reported, not raised."""
        await asyncio.gather(*(self._run(name) for name in self._collect))

    async def _run(self, name: str) -> None:
        began = time.perf_counter()
        try:
            samples = await self._samples(name)
            self._families[name] = _families(name, samples, self._help)
        except Exception as error:
            self._families.pop(name, None)  # no value is better than an outdated one
            self._report(name, error)
        else:
            self._table.cell(c.COLLECTOR_UP, real(name)).set(1)
        self._table.cell(c.COLLECTOR_TIME, real(name)).set(time.perf_counter() - began)

    async def _samples(self, name: str) -> list[Any]:
        collect = self._collect[name]
        if name in self._running:
            if self._running[name].is_alive():
                raise CollectorError("the previous run has not finished")
            del self._running[name]
        try:
            async with asyncio.timeout(self._limit):
                if inspect.iscoroutinefunction(collect):
                    return list(await collect())
                return await self._in_thread(name, collect)
        except TimeoutError as error:
            raise CollectorError(f"not finished within {self._limit:g} s") from error

    async def _in_thread(self, name: str, collect: Collect) -> list[Any]:
        """Call a function that may block. Its thread cannot be stopped, only abandoned; it never delays shutdown."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[list[Any]] = loop.create_future()

        def finish(samples: list[Any] | None, error: BaseException | None) -> None:
            if outcome.done():
                return
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(samples or [])

        def work() -> None:
            samples, fault = None, None
            try:
                samples = list(collect())  # type: ignore[arg-type] # not a coroutine function
            except BaseException as error:
                fault = error if isinstance(error, Exception) else CollectorError(f"raised {type(error).__name__}")
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finish, samples, fault)

        thread = self._running[name] = threading.Thread(target=work, name=f"collector-{name}", daemon=True)
        thread.start()
        try:
            return await outcome
        finally:
            if not outcome.cancelled():  # the function returned: its thread is about to end
                self._running.pop(name, None)

    def _report(self, name: str, error: Exception) -> None:
        up = self._table.cell(c.COLLECTOR_UP, real(name))
        if up.value != 0:
            reason = str(error) if isinstance(error, CollectorError) else f"{type(error).__name__}: {error}"
            logger.error("collector failed", extra={"collector": name, "error": reason})
        up.set(0)

    def render(self, *, openmetrics: bool) -> str:
        """Return the samples of the last runs, in the text format."""
        parts = []
        for families in self._families.values():
            for name, lines in families.items():
                counter = name.endswith("_total")
                family = name.removesuffix("_total") if openmetrics and counter else name
                parts.append(
                    f"# HELP {family} {self._help[name]}\n# TYPE {family} {'counter' if counter else 'gauge'}\n"
                )
                parts.extend(f"{name}{labels} {value}\n" for labels, value in lines)
        return "".join(parts)


def _check_name(name: str, others: list[str]) -> None:
    if not _COLLECTOR.fullmatch(name):
        raise CollectorError("a collector's name has lower-case letters, digits and '_', and begins with a letter")
    if name.split("_", 1)[0] in _RESERVED:
        raise CollectorError(f"names that begin with {name.split('_', 1)[0]!r} are reserved")
    for other in others:
        if name == other or name.startswith(f"{other}_"):
            raise CollectorError(f"the collector {other!r} has this name, or a part of it that would mix their metrics")


def _families(collector: str, samples: list[Any], helps: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Return the samples by metric, checked and formatted.

    Raises:
        CollectorError: a sample is invalid.
    """
    if len(samples) > MAX_SAMPLES:
        raise CollectorError(f"{len(samples)} samples, at most {MAX_SAMPLES} are allowed")
    families: dict[str, list[tuple[str, str]]] = {}
    seen: set[tuple[str, str]] = set()
    for sample in samples:
        try:
            name, text, labels, value = sample
            value = float(value)
            labels = dict(labels)
        except (TypeError, ValueError) as error:
            raise CollectorError(f"{_short(sample)} is not (name, help, labels, value)") from error
        if not isinstance(name, str) or not _METRIC.fullmatch(name) or not name.startswith(f"{collector}_"):
            raise CollectorError(f"the metric {_short(name)} does not begin with '{collector}_', the collector's name")
        if name.endswith(_SUFFIXES):
            raise CollectorError(f"the metric {name!r} has a suffix that is reserved for histograms; use another name")
        printed = _labels(name, labels)
        if (name, printed) in seen:
            raise CollectorError(f"{name}{printed} occurs twice")
        seen.add((name, printed))
        helps[name] = utf8(str(text)).replace("\\", "\\\\").replace("\n", "\\n")
        families.setdefault(name, []).append((printed, number(value)))
    return families


def _labels(metric: str, labels: dict[Any, Any]) -> str:
    parts = []
    for name, value in sorted(labels.items(), key=lambda item: str(item[0])):
        if not isinstance(name, str) or not _METRIC.fullmatch(name) or name.startswith("__") or name == "le":
            raise CollectorError(f"{metric}: {_short(name)} is not a label name")
        text = str(value)
        if len(text) > _LABEL_LENGTH:
            raise CollectorError(f"{metric}: the value of {name!r} has more than {_LABEL_LENGTH} characters")
        parts.append(f'{name}="{escape(text)}"')
    return f"{{{','.join(parts)}}}" if parts else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
