"""The bottleneck analyzer as it runs: follows the stream of events, and judges every few seconds."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jelmon import catalogue as c
from jelmon.errors import ConfigError
from jelmon.events import Event
from jelmon.nats.connection import NatsSettings
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.bottleneck.analyzer import WINDOW_SECONDS
from jelmon_analyzers.bottleneck.gauges import NAME, Watch
from jelmon_analyzers.bottleneck.line.ordering import PATIENCE_SECONDS
from jelmon_analyzers.follow import Follower

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckSettings:
    """What the bottleneck analyzer can be told."""

    nats: NatsSettings = field(default_factory=NatsSettings)
    window_seconds: float = WINDOW_SECONDS
    interval_seconds: float = 15.0
    replay_windows: float = 2.0
    """How much of the stream is read again at the start, in windows: cards that wait came before the window."""

    def __post_init__(self) -> None:
        if not 10 <= self.window_seconds <= 86400:
            raise ConfigError(
                "--bottleneck.window must be from 10s to 1d", hint="15m finds a change in about 10 minutes"
            )
        if not 0.1 <= self.interval_seconds <= self.window_seconds:
            raise ConfigError("--bottleneck.interval must be from 100ms to the window")


class BottleneckService:
    """Runs until cancelled. Gauges are set only when the last stretch of the stream has been read."""

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
        self.watch = Watch(instruments, window_seconds=settings.window_seconds)
        self.takers: list[Callable[[Event], None]] = [self.watch.take]
        """Called with every event; health and suggestions listen too."""
        self._follower = Follower(
            settings.nats,
            self._take,
            replay_seconds=max(replay_seconds, settings.window_seconds * settings.replay_windows),
            name="jelmon-analyzer-bottleneck",
        )
        self.leads: Callable[[], bool] = lambda: True
        """Whether this replica may speak; the others follow the events and keep silent."""
        self.cycles = 0
        self.on_cycle: list[Callable[[float], None]] = []
        """Called after each cycle with its time; health and suggestions read the verdicts then."""
        self.on_silence: list[Callable[[], None]] = []
        """Called when a cycle has to say nothing."""

    def _take(self, event: Event) -> None:
        for take in self.takers:
            take(event)

    @property
    def connected(self) -> bool:
        """Whether events can come in."""
        return self._follower.connected

    def checks(self) -> dict[str, Check]:
        """What it depends on, for the health endpoints."""
        follower = self._follower
        return {
            "events": Check(follower.connected, follower.trouble),
            "replay": Check(follower.caught_up, "" if follower.caught_up else "still reading the last window"),
        }

    async def run(self) -> None:
        """Follow and judge, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run(), name="follow events")
            group.create_task(self._judge(), name="judge stages")

    async def _judge(self) -> None:
        while True:
            if self._follower.caught_up:
                self.cycle()
                await asyncio.sleep(self._settings.interval_seconds)
            else:
                await asyncio.sleep(min(0.1, self._settings.interval_seconds))

    def cycle(self) -> None:
        """Judge once. While no events can come in, what is known grows old, and nothing is said."""
        now = self._clock()
        began = time.perf_counter()
        if not self.leads():
            self._hush()
        elif self._follower.connected:
            # the newest events may not all be here yet
            looked = self.watch.export(now - PATIENCE_SECONDS)
            self._instruments.set(c.ANALYZER_SERIES, looked, analyzer=NAME)
            self._instruments.set(c.ANALYZER_SUCCESS, now, analyzer=NAME)
            for call in self.on_cycle:
                call(now - PATIENCE_SECONDS)
        else:
            self._hush()
            self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason="no_events_source")
        self._instruments.observe(c.ANALYZER_CYCLE, time.perf_counter() - began, analyzer=NAME)
        self.cycles += 1

    def _hush(self) -> None:
        self.watch.silence()
        for hush in self.on_silence:
            hush()
