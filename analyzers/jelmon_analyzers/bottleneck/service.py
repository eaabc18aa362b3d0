"""The bottleneck analyzer as a service: follows the stream of events and analyzes it every few seconds."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jelmon import catalogue as c
from jelmon.errors import ConfigError
from jelmon.events import Event, type_of
from jelmon.nats.connection import NatsSettings
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.bottleneck.analyzer import WINDOW_SECONDS
from jelmon_analyzers.bottleneck.gauges import NAME, BottleneckGauges
from jelmon_analyzers.bottleneck.line.ordering import PATIENCE_SECONDS
from jelmon_analyzers.follow import Follower
from jelmon_analyzers.isolation import Isolation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckSettings:
    """Settings of the bottleneck analyzer."""

    nats: NatsSettings = field(default_factory=NatsSettings)
    window_seconds: float = WINDOW_SECONDS
    interval_seconds: float = 15.0
    replay_windows: float = 2.0
    """How many windows of the stream are read again at the start: cards that wait came before the window."""

    def __post_init__(self) -> None:
        if not 10 <= self.window_seconds <= 86400:
            raise ConfigError(
                "--bottleneck.window must be from 10s to 1d", hint="15m detects a shift in about 10 minutes"
            )
        if not 0.1 <= self.interval_seconds <= self.window_seconds:
            raise ConfigError("--bottleneck.interval must be from 100ms to the length of the window")


class BottleneckService:
    """Runs until cancelled. Gauges are set only after the recent part of the stream has been read."""

    name = NAME

    def __init__(
        self,
        settings: BottleneckSettings,
        instruments: Instruments,
        *,
        replay_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._clock = clock
        self.gauges = BottleneckGauges(instruments, window_seconds=settings.window_seconds)
        self.isolation = Isolation(instruments)
        self.on_event: dict[str, Callable[[Event], None]] = {NAME: self.gauges.observe}
        """Called with every event, by name of the analyzer; health and suggestions listen too."""
        self._follower = Follower(
            settings.nats,
            self.observe,
            replay_seconds=max(replay_seconds, settings.window_seconds * settings.replay_windows),
            name="jelmon-analyzer-bottleneck",
        )
        self.leads: Callable[[], bool] = lambda: True
        """Returns whether this replica exports; the others follow the events without exporting."""
        self.cycles = 0
        self.on_cycle: dict[str, Callable[[float], None]] = {NAME: self._export}
        """Called in each cycle with its time, by name of the analyzer; health and suggestions then read the reports."""
        self.on_clear: dict[str, Callable[[], None]] = {NAME: self.gauges.clear}
        """Called when the gauges of an analyzer are dropped, by its name."""

    def observe(self, event: Event) -> None:
        """Pass an event to every analyzer; one that fails does not keep it from the others."""
        for name, listener in self.on_event.items():
            with self.isolation.of(name, "event", event_id=event.id, event_type=type_of(event)):
                listener(event)

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._follower.connected

    def checks(self) -> dict[str, Check]:
        """Return the state of the dependencies, for the health endpoints."""
        follower = self._follower
        return {
            "events": Check(follower.connected, follower.trouble),
            "replay": Check(follower.caught_up, "" if follower.caught_up else "still reading the last window"),
        }

    async def run(self) -> None:
        """Follow and analyze until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run(), name="follow events")
            group.create_task(self._analyze(), name="analyze stages")

    async def _analyze(self) -> None:
        while True:
            if self._follower.caught_up:
                self.cycle()
                await asyncio.sleep(self._settings.interval_seconds)
            else:
                await asyncio.sleep(min(0.1, self._settings.interval_seconds))

    def cycle(self) -> None:
        """Analyze once. Without a connection the events are out of date, so nothing is exported."""
        now = self._clock()
        began = time.perf_counter()
        if not self.leads():
            self._clear()
        elif self._follower.connected:
            self.analyze(now)
        else:
            self._clear()
            self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason="no_events_source")
        self._instruments.observe(c.ANALYZER_CYCLE, time.perf_counter() - began, analyzer=NAME)
        self.cycles += 1

    def analyze(self, now: float) -> None:
        """Run a cycle of every analyzer on what was observed up to ``now``."""
        for name, listener in self.on_cycle.items():
            with self.isolation.of(name, "cycle", self.on_clear[name]):
                listener(now - PATIENCE_SECONDS)  # the newest events may not all be here yet

    def _export(self, now: float) -> None:
        stages = self.gauges.export(now)
        self._instruments.set(c.ANALYZER_SERIES, stages, analyzer=NAME)
        self._instruments.set(c.ANALYZER_SUCCESS, now + PATIENCE_SECONDS, analyzer=NAME)

    def _clear(self) -> None:
        for clear in self.on_clear.values():
            clear()
