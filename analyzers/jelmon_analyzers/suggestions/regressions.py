"""Regressions as findings, from the gauges of the regression analyzer.

If it runs in this process its gauges are read directly, otherwise from Prometheus.
"""

import asyncio
import logging
from collections.abc import Iterable

import aiohttp

from jelmon import catalogue as c
from jelmon.service.registry import Instruments
from jelmon_analyzers.suggestions.strategies import Finding

logger = logging.getLogger(__name__)

_LABELS = c.REGRESSION_CHANGE.labels
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_STATES = {"early_warning": c.REGRESSION_EARLY_WARNING, "severe": c.REGRESSION_SEVERE}  # the more severe last


class Regressions:
    """Keeps ``findings`` up to date: the current regressions, empty if they are unknown."""

    def __init__(self, instruments: Instruments, prometheus_url: str | None, *, every_seconds: float) -> None:
        self._instruments = instruments
        self._url = prometheus_url.rstrip("/") if prometheus_url is not None else None
        self._every_seconds = every_seconds
        self.findings: list[Finding] = []
        self.trouble = ""

    async def run(self) -> None:
        """Update every few seconds until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                await self.update(session)
                await asyncio.sleep(self._every_seconds)

    async def update(self, session: aiohttp.ClientSession) -> None:
        """Update the findings once."""
        if self._instruments.values(c.REGRESSION_BASELINE_READY):
            changes = self._instruments.values(c.REGRESSION_CHANGE)
            states = {state: _active(self._instruments.values(gauge)) for state, gauge in _STATES.items()}
            self.findings, self.trouble = list(_findings(changes, states)), ""
            return
        if self._url is None:
            return
        try:
            changes = await self._query(session, self._url, c.REGRESSION_CHANGE.name)
            states = {
                state: set(await self._query(session, self._url, f"{gauge.name} == 1"))
                for state, gauge in _STATES.items()
            }
            self.findings, self.trouble = list(_findings(changes, states)), ""
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            if not self.trouble:
                logger.warning("Prometheus does not respond", extra={"error": str(error) or type(error).__name__})
            self.findings, self.trouble = [], "Prometheus does not respond"

    async def _query(self, session: aiohttp.ClientSession, url: str, expression: str) -> dict[tuple[str, ...], float]:
        query = f"max by ({', '.join(_LABELS)}) ({expression})"
        async with session.get(f"{url}/api/v1/query", params={"query": query}) as response:
            body = await response.json()
            if body["status"] != "success":
                raise ValueError(body.get("error", "the query failed"))
            return {
                tuple(series["metric"].get(name, "") for name in _LABELS): float(series["value"][1])
                for series in body["data"]["result"]
            }


def _active(values: dict[tuple[str, ...], float]) -> set[tuple[str, ...]]:
    return {labels for labels, value in values.items() if value == 1}


def _findings(changes: dict[tuple[str, ...], float], states: dict[str, set[tuple[str, ...]]]) -> Iterable[Finding]:
    worst = {labels: state for state, series in states.items() for labels in series}
    for labels, state in sorted(worst.items()):
        if labels in changes:
            label = dict(zip(_LABELS, labels, strict=True))
            yield Finding(
                kind="regression",
                pipeline=label["pipeline"],
                stage=label["stage"],
                state=state,
                about=label["signal"],
                figures={"change": changes[labels]},
            )
