"""Ending asyncio tasks for sure."""

import asyncio
from typing import Any

_PATIENCE_SECONDS = 2.0


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until each is over; a fault of one that was not cancelled is raised.

    Once may not do: Python 3.11's `asyncio.wait_for`, which redis-py and nats-py call, swallows a cancellation that
    comes at the moment at which the awaited is done. What a task does at its end has two seconds, then it is told
    again: if it must not be cut short by that, it waits with `finished`.
    """
    cancelled = False
    while open_tasks := [task for task in tasks if not task.done()]:
        for task in open_tasks:
            task.cancel()
        try:
            await asyncio.wait(open_tasks, timeout=_PATIENCE_SECONDS)
        except asyncio.CancelledError:  # of ourselves: when the tasks are over
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    for task in tasks:
        if not task.cancelled():
            task.result()


async def finished(task: "asyncio.Task[Any]") -> None:
    """Wait until a task is over, however often we are cancelled meanwhile; what came of it is not looked at."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def all_of(*tasks: "asyncio.Task[Any]") -> None:
    """Wait for tasks that work side by side. When one fails, or we are cancelled, the others are ended."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(*tasks)
