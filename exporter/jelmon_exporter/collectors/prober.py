"""Probes services, each at its interval: are they up, how long does each phase take, when do certificates expire."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from jelmon import catalogue as c
from jelmon.service.tasks import end
from jelmon_exporter.collectors.probe_client import ProbeClient
from jelmon_exporter.collectors.probe_result import Result
from jelmon_exporter.collectors.targets import Target
from jelmon_exporter.series.cells import SeriesTable, real

logger = logging.getLogger(__name__)

_CONCURRENT_PROBES = 32
_METRICS = {metric.name for metric in (c.TARGET_UP, c.PROBE_TIME, c.PROBE_PHASE, c.PROBE_FAILURES, c.PROBE_TLS_EXPIRY)}


class Prober:
    """Probes all targets, each at its interval, and updates their series."""

    def __init__(
        self, targets: Sequence[Target], table: SeriesTable, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._targets: tuple[Target, ...] = ()
        self._targets_changed = asyncio.Event()
        self._table = table
        self._client = ProbeClient(clock=clock)
        self._slots = asyncio.Semaphore(_CONCURRENT_PROBES)
        self.results: dict[str, Result] = {}
        """The newest result of each target."""
        self.set_targets(targets)

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Probe these targets from now on. Series and results of other targets are dropped."""
        gone = {real(target.name) for target in self._targets} - {real(target.name) for target in targets}
        for name, labels in [key for key in self._table.cells if key[0] in _METRICS and key[1][0] in gone]:
            self._table.drop((name, labels))
        self.results = {target.name: self.results[target.name] for target in targets if target.name in self.results}
        self._client.forget()
        self._targets = tuple(targets)
        for target in targets:
            for reason in c.PROBE_FAILURES.closed["reason"]:
                self._table.cell(c.PROBE_FAILURES, real(target.name), reason)
        self._targets_changed.set()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the targets."""
        return tuple(target.name for target in self._targets)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._targets_changed.clear()
            spread = [
                number / len(self._targets) * min(target.interval, 5.0) for number, target in enumerate(self._targets)
            ]
            pairs = zip(self._targets, spread, strict=True)
            tasks = [asyncio.create_task(self._repeat(target, delay=delay)) for target, delay in pairs]
            changed = asyncio.create_task(self._targets_changed.wait())
            try:
                await asyncio.wait([changed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(changed, *tasks)

    async def _repeat(self, target: Target, *, delay: float) -> None:
        """Probe at a fixed rate, skipping missed probes. ``delay``, in seconds, spreads the targets over time."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            async with self._slots:
                self.record(target, await self.probe(target))
            due += target.interval * max(1, -(-(loop.time() - due) // target.interval))

    def record(self, target: Target, result: Result) -> None:
        """Update the series with a result, and log when the target goes down or comes back."""
        if target not in self._targets:  # the targets changed during the probe
            return
        name = real(target.name)
        self._table.cell(c.TARGET_UP, name).set(1 if result.up else 0)
        self._table.cell(c.PROBE_TIME, name).observe_seconds(result.seconds)
        for phase in c.PROBE_PHASE.closed["phase"]:
            # a phase that was not reached is absent, not 0
            self._table.cell(c.PROBE_PHASE, name, phase).set(result.phases.get(phase))
        if not result.up:
            self._table.cell(c.PROBE_FAILURES, name, result.reason).add()
        if result.expires is not None:
            self._table.cell(c.PROBE_TLS_EXPIRY, name).set(result.expires)
        before = self.results.get(target.name)
        self.results[target.name] = result
        if (before is None or before.up) and not result.up:
            logger.warning(
                "target is down", extra={"target": target.name, "reason": result.reason, "detail": result.detail}
            )
        elif before is not None and not before.up and result.up:
            logger.info("target is up again", extra={"target": target.name})

    def forget(self) -> None:
        """Remove gauges and results: another replica probes now. Counters stay."""
        self.results.clear()
        for target in self._targets:
            name = real(target.name)
            self._table.cell(c.TARGET_UP, name).set(None)
            self._table.cell(c.PROBE_TLS_EXPIRY, name).set(None)
            for phase in c.PROBE_PHASE.closed["phase"]:
                self._table.cell(c.PROBE_PHASE, name, phase).set(None)

    async def probe(self, target: Target) -> Result:
        """Probe a target once. Failures are part of the result."""
        return await self._client.probe(target)
