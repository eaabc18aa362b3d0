"""Short ways to say events, and an exporter started over real servers."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jelmon import events as e
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.nats.connection import NatsSettings
from jelmon_exporter.app import Exporter
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.changes import drain
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import ExporterSettings

START = datetime(2026, 1, 1, tzinfo=UTC)


class Say:
    """Makes events: ``say.card_started("a", at=3)``. Times are seconds after `START`; ids count up."""

    def __init__(self) -> None:
        self._ids = itertools.count()

    def event(self, kind: type[Any], data: e.Data, subject: str | None, at: float, event_id: str | None = None) -> Any:
        return e.make(
            kind,
            data,
            source="/test",
            subject=subject,
            time=START + timedelta(seconds=at),
            id=event_id or f"event-{next(self._ids)}",
        )

    def card_queued(self, card: str, *, at: float, pipeline: str = "main", event_id: str | None = None) -> Any:
        return self.event(e.CardQueued, e.CardData(pipeline=pipeline), card, at, event_id)

    def card_started(self, card: str, *, at: float, pipeline: str = "main") -> Any:
        return self.event(e.CardStarted, e.CardData(pipeline=pipeline), card, at)

    def card_finished(
        self, card: str, *, at: float, outcome: e.Outcome = e.Outcome.SUCCESS, pipeline: str = "main"
    ) -> Any:
        return self.event(e.CardFinished, e.CardFinishedData(pipeline=pipeline, outcome=outcome), card, at)

    def queued(self, card: str, stage: str, *, at: float, attempt: int = 1, pipeline: str = "main") -> Any:
        return self.event(e.StageQueued, e.StageData(pipeline=pipeline, stage=stage, attempt=attempt), card, at)

    def started(self, card: str, stage: str, *, at: float, attempt: int = 1, pipeline: str = "main") -> Any:
        data = e.StageStartedData(pipeline=pipeline, stage=stage, attempt=attempt)
        return self.event(e.StageStarted, data, card, at)

    def finished(
        self,
        card: str,
        stage: str,
        *,
        at: float,
        attempt: int = 1,
        outcome: e.Outcome = e.Outcome.SUCCESS,
        pipeline: str = "main",
        **more: Any,
    ) -> Any:
        data = e.StageFinishedData(pipeline=pipeline, stage=stage, attempt=attempt, outcome=outcome, **more)
        return self.event(e.StageFinished, data, card, at)

    def retried(self, card: str, stage: str, *, at: float, attempt: int) -> Any:
        return self.event(e.StageRetried, e.StageData(pipeline="main", stage=stage, attempt=attempt), card, at)


@pytest.fixture
def say() -> Say:
    return Say()


class Books:
    """A ledger, and the view of what was committed from it."""

    def __init__(self, limits: Limits) -> None:
        self.ledger = Ledger(limits=limits, admission=Admission(limits.label_values))
        self.view = View()
        self._tracker = Tracker(self.ledger)

    def apply(self, *events: Any, arrived: float | None = None) -> View:
        """Apply events as one batch, commit, and return the view."""
        for event in events:
            self.ledger.now = max(self.ledger.now, arrived if arrived is not None else event.time.timestamp())
            self._tracker.apply([event])
        self.commit()
        return self.view

    def commit(self) -> None:
        changes = drain(self.ledger)
        self.view.update(0, changes.series)
        self.view.declare(0, changes.declared)
        self.view.exemplify(changes.exemplars)


@pytest.fixture
def books() -> Callable[..., Books]:
    """A function that makes empty books, under limits if given."""

    def make(**limits: Any) -> Books:
        return Books(replace(Limits(), **limits))

    return make


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """A function that waits until a condition holds, and fails when it does not in time."""

    async def wait(condition: Callable[[], object], *, seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def own_processes(tmp_path: Path) -> Iterator[Processes]:
    """Child processes of one test."""
    with Processes(tmp_path / "logs") as children:
        yield children


@pytest.fixture
def own_nats_url(own_processes: Processes, tool: Callable[[str], Path], tmp_path: Path) -> str:
    """A NATS server of this test's own: streams, sequences and failures are nobody else's."""
    return launch.nats(own_processes, tool("nats-server"), tmp_path / "nats")


@pytest.fixture
def exporting() -> Callable[..., Any]:
    """A function to ``async with``: an exporter on a free port."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Exporter]:
        url, store = settings.pop("nats_url"), settings.pop("store", None)
        settings.setdefault("batch_seconds", 0.05)
        exporter = Exporter(
            ExporterSettings(
                listen_address=ListenAddress("127.0.0.1", 0),
                nats=None if url is None else NatsSettings(url=url),
                host="host-1",
                **settings,
            ),
            store=store,
        )
        await exporter.start()
        try:
            yield exporter
        finally:
            await exporter.stop()

    return run


class Servers:
    """A NATS and a Redis of this test's own, which it may ill-treat."""

    def __init__(
        self,
        processes: Processes,
        tool: Callable[[str], Path],
        folder: Path,
        *,
        nats: str = "nats-server",
        nats_config: str = "",
    ) -> None:
        self.processes = processes
        self.nats = nats
        self._nats_config = folder / "nats.conf"
        self._nats_config.write_text(nats_config)
        self._tool = tool
        self._folder = folder
        self._nats_port = free_port()
        self._redis_port = free_port()
        self.nats_url = f"nats://127.0.0.1:{self._nats_port}"
        self.redis_url = f"redis://127.0.0.1:{self._redis_port}/0"
        self._start_nats()
        self._start_redis()

    def _start_nats(self) -> None:
        folder, port = self._folder / "nats", self._nats_port
        launch.nats(self.processes, self._tool(self.nats), folder, port=port, config=self._nats_config)

    def _start_redis(self) -> None:
        launch.redis(self.processes, self._tool("redis-server"), self._folder / "redis", port=self._redis_port)

    async def start_nats(self) -> None:
        await asyncio.to_thread(self._start_nats)

    async def start_redis(self) -> None:
        await asyncio.to_thread(self._start_redis)

    async def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a server, and wait until it is gone."""
        self.processes.signal(name, number)
        while any(child.name == name and child.alive() for child in self.processes._children):
            await asyncio.sleep(0.02)

    @property
    def redis_folder(self) -> Path:
        return self._folder / "redis"


@pytest.fixture
def make_servers(own_processes: Processes, tool: Callable[[str], Path], tmp_path: Path) -> Callable[..., Servers]:
    """A function that starts them: ``nats`` is which program, ``nats_config`` what stands in its configuration."""
    return partial(Servers, own_processes, tool, tmp_path)


@pytest.fixture
def servers(make_servers: Callable[..., Servers]) -> Servers:
    return make_servers()


@pytest.fixture
def cards(say: Any) -> Callable[[int, int], list[e.Envelope]]:
    """A function that makes start and finish of the cards with these numbers; each takes 1.5 seconds."""

    def make(first: int, last: int) -> list[e.Envelope]:
        events: list[e.Envelope] = []
        for number in range(first, last):
            events += [
                say.card_started(f"card-{number}", at=number),
                say.card_finished(f"card-{number}", at=number + 1.5),
            ]
        return events

    return make
