"""Usage of system resources, queried from Prometheus, which scrapes it from the exporter."""

import asyncio
import logging
from collections.abc import Mapping

import aiohttp

from jelmon.catalogue import SYSTEM_CPU, SYSTEM_DISK_IO, SYSTEM_MEMORY

logger = logging.getLogger(__name__)

QUERIES: Mapping[str, str] = {
    "cpu": f"max({SYSTEM_CPU.name})",
    "memory": f"max({SYSTEM_MEMORY.name})",
    "io": f"max({SYSTEM_DISK_IO.name})",
}
"""Resource -> expression for the highest usage of any host."""
STALE_READINGS = 3
"""Failed queries in a row after which the last usage is dropped."""
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class ResourceUsage:
    """Queries Prometheus every few seconds; unknown resources are absent."""

    def __init__(self, prometheus_url: str, *, interval_seconds: float) -> None:
        self._url = prometheus_url.rstrip("/")
        self._interval_seconds = interval_seconds
        self._failures = 0
        self._usage: dict[str, float] = {}
        self.trouble = "no query yet"

    @property
    def usage(self) -> Mapping[str, float]:
        """Share in use (0 to 1) by resource."""
        return self._usage

    @property
    def scarcest(self) -> float | None:
        """The highest share in use; None if unknown."""
        return max(self._usage.values(), default=None)

    async def run(self) -> None:
        """Query until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                try:
                    values = {name: await self._query(session, query) for name, query in QUERIES.items()}
                    self._usage = {name: value for name, value in values.items() if value is not None}
                    self._failures, self.trouble = 0, ""
                except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                    self._failures += 1
                    if self._failures == 1:
                        logger.warning(
                            "Prometheus does not respond", extra={"error": str(error) or type(error).__name__}
                        )
                    self.trouble = "Prometheus does not respond"
                    if self._failures >= STALE_READINGS:
                        self._usage = {}
                await asyncio.sleep(self._interval_seconds)

    async def _query(self, session: aiohttp.ClientSession, query: str) -> float | None:
        async with session.get(f"{self._url}/api/v1/query", params={"query": query}) as response:
            body = await response.json()
            if body["status"] != "success":
                raise ValueError(body.get("error", "the query failed"))
            result = body["data"]["result"]
            return float(result[0]["value"][1]) if result else None
