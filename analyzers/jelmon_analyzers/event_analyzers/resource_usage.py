"""How much of each system resource is in use, as Prometheus knows it from the exporter."""

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
"""Resource -> the highest use of any host."""
STALE_READINGS = 3
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class ResourceUsage:
    """Asks Prometheus every few seconds; what cannot be had is absent."""

    def __init__(self, prometheus_url: str, *, interval_seconds: float) -> None:
        self._url = prometheus_url.rstrip("/")
        self._interval_seconds = interval_seconds
        self._missed = 0
        self._usage: dict[str, float] = {}
        self.trouble = "not asked yet"

    @property
    def usage(self) -> Mapping[str, float]:
        """Share in use by resource, 0 to 1."""
        return self._usage

    @property
    def scarcest(self) -> float | None:
        """The highest share in use; None while nothing is known."""
        return max(self._usage.values(), default=None)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                try:
                    found = {name: await self._ask(session, query) for name, query in QUERIES.items()}
                    self._usage = {name: value for name, value in found.items() if value is not None}
                    self._missed, self.trouble = 0, ""
                except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                    self._missed += 1
                    if self._missed == 1:
                        logger.warning(
                            "Prometheus does not answer", extra={"error": str(error) or type(error).__name__}
                        )
                    self.trouble = "Prometheus does not answer"
                    if self._missed >= STALE_READINGS:
                        self._usage = {}
                await asyncio.sleep(self._interval_seconds)

    async def _ask(self, session: aiohttp.ClientSession, query: str) -> float | None:
        async with session.get(f"{self._url}/api/v1/query", params={"query": query}) as response:
            body = await response.json()
            if body["status"] != "success":
                raise ValueError(body.get("error", "the query failed"))
            result = body["data"]["result"]
            return float(result[0]["value"][1]) if result else None
