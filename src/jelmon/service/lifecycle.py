"""The lifecycle of a service: start, serve until a signal arrives or a background task fails, stop."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol

from jelmon.service.tasks import end


class BackgroundTasks:
    """The tasks that a service runs until it stops. None of them may end before that."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def __iter__(self) -> Iterator["asyncio.Task[None]"]:
        return iter(self._tasks)

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
        """Run ``work`` in the background."""
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    async def wait(self, stopped: asyncio.Event) -> None:
        """Wait until ``stopped`` is set.

        Raises:
            Exception: the error of a task that failed.
            RuntimeError: a task returned.
        """
        waiter = asyncio.create_task(stopped.wait())
        try:
            done, _ = await asyncio.wait([waiter, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        for task in done - {waiter}:
            task.result()
            if not stopped.is_set():
                raise RuntimeError(f"background task {task.get_name()!r} returned")

    async def stop(self) -> None:
        """Cancel the tasks and wait until all have ended.

        Raises:
            Exception: the error of a task that failed.
        """
        tasks, self._tasks = self._tasks, []
        await end(*tasks)


class Service(Protocol):
    """What `run_until` runs: it starts its tasks in `start` and ends them in `stop`."""

    background: BackgroundTasks

    async def start(self) -> None:
        """Start serving."""

    async def stop(self) -> None:
        """Stop serving and release everything, also after a `start` that failed."""


async def run_until(stopped: asyncio.Event, service: Service) -> None:
    """Run a service until ``stopped`` is set or one of its background tasks fails, whose error is raised."""
    try:
        await service.start()
        await service.background.wait(stopped)
    finally:
        await service.stop()


async def run_until_signal(service: Service, *, on_hangup: Callable[[], object] | None = None) -> None:
    """Run a service until SIGTERM or SIGINT; SIGHUP calls ``on_hangup``."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if on_hangup is not None:
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    await run_until(stopped, service)


async def every(
    seconds: float, work: Callable[[], Awaitable[None]], *, suppress: tuple[type[Exception], ...] = ()
) -> None:
    """Call ``work``, sleep, and repeat until cancelled. ``suppress`` are errors that ``work`` reports itself."""
    while True:
        with contextlib.suppress(*suppress):
            await work()
        await asyncio.sleep(seconds)
