"""Batches one at a time, scrapes first, and counting never stops."""

import asyncio
import time

from jelmon_exporter.counting import scheduling
from jelmon_exporter.counting.scheduling import Scheduler


async def test_the_loop_goes_round_between_two_batches() -> None:
    turn, rounds = Scheduler(), 0
    counted_in: list[int] = []

    async def count_rounds() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def partition() -> None:
        for _ in range(3):
            async with turn.batch():
                counted_in.append(rounds)

    clock = asyncio.create_task(count_rounds())
    await asyncio.gather(*(partition() for _ in range(4)))
    clock.cancel()
    assert len(set(counted_in)) == 12


async def test_no_batch_is_counted_while_a_scrape_is_answered() -> None:
    turn = Scheduler()
    order: list[str] = []

    async def partition() -> None:
        async with turn.batch():
            order.append("batch")

    with turn.scrape():
        waiting = asyncio.create_task(partition())
        with turn.scrape():
            for _ in range(5):
                await asyncio.sleep(0)
        order.append("one scrape is over")
        for _ in range(5):
            await asyncio.sleep(0)
        order.append("the other is over")
    await asyncio.wait_for(waiting, 30)
    assert order == ["one scrape is over", "the other is over", "batch"]


async def test_scrapes_without_end_do_not_stop_the_counting() -> None:
    turn = Scheduler()

    async def partition() -> None:
        async with turn.batch():
            pass

    with turn.scrape():
        began = time.monotonic()
        await asyncio.wait_for(partition(), 30)
    assert time.monotonic() - began >= scheduling.MAX_DELAY_SECONDS * 0.9
