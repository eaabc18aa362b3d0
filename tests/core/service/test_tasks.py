"""Tasks end when they are told to, even if something swallows it once."""

import asyncio
import contextlib

import pytest

from jelmon.service.tasks import all_of, end, finished


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jelmon.service.tasks._PATIENCE_SECONDS", 0.05)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def deaf(times: int) -> None:
    """Swallow so many cancellations."""
    for _ in range(times):
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever()
    await for_ever()


async def broken() -> None:
    raise RuntimeError("a fault of ours")


async def test_a_task_that_swallows_its_cancellation_ends_all_the_same() -> None:
    tasks = [asyncio.create_task(deaf(times)) for times in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end(*tasks)

    assert [task.cancelled() for task in tasks] == [True] * 3


async def test_a_fault_is_raised_when_all_are_over() -> None:
    failed, other = asyncio.create_task(broken()), asyncio.create_task(for_ever())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await end(failed, other)

    assert other.cancelled()


async def test_when_one_fails_the_others_are_ended() -> None:
    tasks = [asyncio.create_task(deaf(1)), asyncio.create_task(broken())]
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await all_of(*tasks)

    assert tasks[0].cancelled()


async def test_when_we_are_cancelled_the_others_are_ended() -> None:
    tasks = [asyncio.create_task(deaf(1)), asyncio.create_task(for_ever())]
    waiting = asyncio.create_task(all_of(*tasks))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end(waiting)

    assert [task.done() for task in tasks] == [True, True]
    assert waiting.cancelled()


async def test_what_ends_by_itself_is_waited_for() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    await all_of(*(asyncio.create_task(work(number)) for number in range(3)))

    assert done == [0, 1, 2]


async def test_what_must_be_finished_is_finished_however_often_we_are_told_to_end() -> None:
    may_end, done = asyncio.Event(), []

    async def last_words() -> None:
        await may_end.wait()
        done.append("said")

    speaking = asyncio.create_task(last_words())
    waiting = asyncio.create_task(finished(speaking))
    ending = asyncio.create_task(end(waiting))
    for _ in range(3):  # three times as long as `end` is patient
        await asyncio.sleep(0.06)
    assert not ending.done()
    may_end.set()
    async with asyncio.timeout(20):
        await ending

    assert done == ["said"]
    assert waiting.cancelled()
