"""A service runs until it is asked to stop or a background task ends, and is stopped in either case."""

import asyncio
import os
import signal

import pytest

from jelmon.service.lifecycle import BackgroundTasks, every, run_until, run_until_signal


class Recorder:
    """A service with one background task; it records what happened to it."""

    def __init__(self, error: Exception | None = None, *, ends: bool = False) -> None:
        self.background = BackgroundTasks()
        self.log: list[str] = []
        self.started = asyncio.Event()
        self._error = error
        self._ends = ends

    async def start(self) -> None:
        self.background.start(self._work(), name="work")
        self.log.append("started")
        self.started.set()

    async def stop(self) -> None:
        self.log.append("stopped")
        await self.background.stop()

    async def _work(self) -> None:
        if self._error is not None:
            raise self._error
        if not self._ends:
            await asyncio.Event().wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_stops_the_service(number: signal.Signals) -> None:
    service = Recorder()
    running = asyncio.create_task(run_until_signal(service))
    await service.started.wait()
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running, 10)

    assert service.log == ["started", "stopped"]


async def test_a_hangup_calls_back_and_the_service_goes_on() -> None:
    service, called = Recorder(), asyncio.Event()
    running = asyncio.create_task(run_until_signal(service, on_hangup=called.set))
    await service.started.wait()
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.wait_for(called.wait(), 10)

    assert not running.done()

    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 10)


async def test_the_error_of_a_background_task_stops_the_service_and_is_raised() -> None:
    service = Recorder(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(run_until(asyncio.Event(), service), 10)

    assert service.log == ["started", "stopped"]


async def test_a_background_task_that_returns_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="background task 'work' returned"):
        await asyncio.wait_for(run_until(asyncio.Event(), Recorder(ends=True)), 10)


async def test_a_service_that_fails_to_start_is_stopped() -> None:
    service = Recorder()

    async def fail() -> None:
        raise ValueError("no port")

    service.start = fail  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no port"):
        await run_until(asyncio.Event(), service)

    assert service.log == ["stopped"]


async def test_periodic_work_goes_on_after_an_error_that_it_reports_itself() -> None:
    calls = 0
    done = asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            done.set()
        raise ValueError

    task = asyncio.create_task(every(0, work, suppress=(ValueError,)))
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()

    assert calls >= 3
