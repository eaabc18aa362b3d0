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
"""Prometheus refuses more than 11,000 points a series."""
TIMEOUT_SECONDS = 30.0


class PrometheusHistory:
    """A Prometheus, or anything else that answers ``/api/v1/query_range``."""

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
        """``count`` values of every series of an expression, ``step`` seconds apart from ``start``.

        Raises:
            SourceError: it does not answer, or refuses the expression.
        """
        found: dict[Labels, Floats] = {}
        for first in range(0, count, POINTS_A_QUERY):
            last = min(count, first + POINTS_A_QUERY) - 1
            for series in await self._ask(expression, start + first * step, start + last * step, step):
                labels = tuple(sorted(series["metric"].items()))
                values = found.setdefault(labels, np.full(count, np.nan))
                for moment, text in series["values"]:
                    place = round((float(moment) - start) / step)
                    if 0 <= place < count:
                        value = float(text)
                        values[place] = value if math.isfinite(value) else np.nan
        return found

    async def _ask(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        assert self._session is not None, "use it as a context manager"
        query = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        try:
            async with self._session.post(f"{self._url}/api/v1/query_range", data=query) as response:
                answer = await response.json(content_type=None)
                if not isinstance(answer, dict) or answer.get("status") != "success":
                    told = answer.get("error", "") if isinstance(answer, dict) else ""
                    raise SourceError(
                        f"Prometheus refuses a query ({response.status}): {told or 'no reason given'}",
                        hint=f"try it in its own interface: {expression}",
                    )
                result: list[dict[str, Any]] = answer["data"]["result"]
                return result
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise SourceError(
                f"Prometheus does not answer at {self._url}: {type(error).__name__} {error}".rstrip(),
                hint="is it running there? set --prometheus.url",
            ) from error
