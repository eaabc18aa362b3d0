"""Read series on an even time grid from the Prometheus HTTP API; gaps are NaN."""

import math
from types import TracebackType
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from jelmon.errors import SourceError

Floats = NDArray[np.float64]
Labels = tuple[tuple[str, str], ...]

POINTS_A_QUERY = 10_000
"""Prometheus refuses queries for more than 11,000 points per series."""
TIMEOUT_SECONDS = 30.0


class PrometheusHistory:
    """A Prometheus, or another server with its ``/api/v1/query_range``; an asynchronous context manager."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "PrometheusHistory":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self, expression: str, *, start: float, count: int, step: float) -> dict[Labels, Floats]:
        """Return ``count`` values of every series of an expression, ``step`` seconds apart from ``start`` on.

        Raises:
            SourceError: Prometheus does not answer or refuses the expression.
        """
        series_by_labels: dict[Labels, Floats] = {}
        for first in range(0, count, POINTS_A_QUERY):
            last = min(count, first + POINTS_A_QUERY) - 1
            for series in await self._ask(expression, start + first * step, start + last * step, step):
                labels = tuple(sorted(series["metric"].items()))
                values = series_by_labels.setdefault(labels, np.full(count, np.nan))
                for moment, text in series["values"]:
                    index = round((float(moment) - start) / step)
                    if 0 <= index < count:
                        value = float(text)
                        values[index] = value if math.isfinite(value) else np.nan
        return series_by_labels

    async def _ask(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        assert self._session is not None, "not entered as a context manager"
        query = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        try:
            async with self._session.post(f"{self._url}/api/v1/query_range", data=query) as response:
                answer = await response.json(content_type=None)
                if not isinstance(answer, dict) or answer.get("status") != "success":
                    reason = answer.get("error", "") if isinstance(answer, dict) else ""
                    raise SourceError(
                        f"Prometheus refused a query ({response.status}): {reason or 'no reason given'}",
                        hint=f"try the query in the Prometheus web interface: {expression}",
                    )
                result: list[dict[str, Any]] = answer["data"]["result"]
                return result
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise SourceError(
                f"Prometheus does not answer at {self._url}: {type(error).__name__} {error}".rstrip(),
                hint="check that Prometheus is running; --prometheus.url sets the address",
            ) from error
