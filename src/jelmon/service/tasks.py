"""Reliable cancellation of asyncio tasks."""

import asyncio
from typing import Any

_PATIENCE_SECONDS = 2.0


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until all are done, then raise the error of one that failed.

    One cancellation may not be enough: Python 3.11's `asyncio.wait_for`, which redis-py and nats-py use, swallows a
    cancellation that arrives just as the awaited future completes. A task has two seconds to clean up before it is
    cancelled again; clean-up that must not be interrupted waits with `finished`.
    """
    cancelled = False
    while open_tasks := [task for task in tasks if not task.done()]:
        for task in open_tasks:
            task.cancel()
        try:
            await asyncio.wait(open_tasks, timeout=_PATIENCE_SECONDS)
        except asyncio.CancelledError:  # of the caller: raised when the tasks are done
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    for task in tasks:
        if not task.cancelled():
            task.result()


async def finished(task: "asyncio.Task[Any]") -> None:
    """Wait until a task is done, even if the caller is cancelled meanwhile; its result is ignored."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def all_of(*tasks: "asyncio.Task[Any]") -> None:
    """Wait for concurrent tasks. When one fails or the caller is cancelled, end the others."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(*tasks)
