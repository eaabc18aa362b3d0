"""Regressions as findings: read off the gauges of the regression analyzer, here or in another process.

Where it runs in this process its gauges are at hand; else Prometheus is asked for them.
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
_STATES = {"early_warning": c.REGRESSION_EARLY_WARNING, "severe": c.REGRESSION_SEVERE}  # the graver one last


class Regressions:
    """``findings`` are the regressions of now; none while nobody tells of any."""

    def __init__(self, instruments: Instruments, prometheus_url: str | None, *, every_seconds: float) -> None:
        self._instruments = instruments
        self._url = prometheus_url.rstrip("/") if prometheus_url is not None else None
        self._every_seconds = every_seconds
        self.findings: list[Finding] = []
        self.trouble = ""

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                await self.look(session)
                await asyncio.sleep(self._every_seconds)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Once."""
        if self._instruments.values(c.REGRESSION_BASELINE_READY):
            changes = self._instruments.values(c.REGRESSION_CHANGE)
            states = {state: _at_work(self._instruments.values(gauge)) for state, gauge in _STATES.items()}
            self.findings, self.trouble = list(_findings(changes, states)), ""
            return
        if self._url is None:
            return
        try:
            changes = await self._ask(session, self._url, c.REGRESSION_CHANGE.name)
            states = {
                state: set(await self._ask(session, self._url, f"{gauge.name} == 1"))
                for state, gauge in _STATES.items()
            }
            self.findings, self.trouble = list(_findings(changes, states)), ""
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            if not self.trouble:
                logger.warning("Prometheus does not answer", extra={"error": str(error) or type(error).__name__})
            self.findings, self.trouble = [], "Prometheus does not answer"

    async def _ask(self, session: aiohttp.ClientSession, url: str, expression: str) -> dict[tuple[str, ...], float]:
        query = f"max by ({', '.join(_LABELS)}) ({expression})"
        async with session.get(f"{url}/api/v1/query", params={"query": query}) as response:
            body = await response.json()
            if body["status"] != "success":
                raise ValueError(body.get("error", "the query failed"))
            return {
                tuple(series["metric"].get(name, "") for name in _LABELS): float(series["value"][1])
                for series in body["data"]["result"]
            }


def _at_work(values: dict[tuple[str, ...], float]) -> set[tuple[str, ...]]:
    return {labels for labels, value in values.items() if value == 1}


def _findings(changes: dict[tuple[str, ...], float], states: dict[str, set[tuple[str, ...]]]) -> Iterable[Finding]:
    verdicts = {labels: state for state, found in states.items() for labels in found}
    for labels, state in sorted(verdicts.items()):
        named = dict(zip(_LABELS, labels, strict=True))
        if labels in changes:
            yield Finding(
                kind="regression",
                pipeline=named["pipeline"],
                stage=named["stage"],
                state=state,
                about=named["signal"],
                figures={"change": changes[labels]},
            )
