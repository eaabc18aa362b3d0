"""Pauses grow with each failure, start again after a success, and end early when the loop is stopped."""

import asyncio
import time

import pytest

from jelmon.service.backoff import Backoff


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jelmon.service.backoff._JITTER", 0.0)


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(0.25, 1.5)

    assert [backoff.next_pause() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    assert backoff.failures == 5


def test_a_success_starts_again() -> None:
    backoff = Backoff(1.0, 8.0)
    backoff.next_pause()
    backoff.reset()

    assert (backoff.failures, backoff.next_pause()) == (0, 1.0)


async def test_stopping_ends_the_pause() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    began = time.monotonic()
    await Backoff(60.0, 60.0).wait(stop)

    assert time.monotonic() - began < 30
