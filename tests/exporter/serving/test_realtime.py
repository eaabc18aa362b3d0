"""Real-time figures in Redis: right, and gone when nobody renews them."""

from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from jelmon import events as e
from jelmon.client import Publisher
from jelmon_exporter.serving.realtime import RealtimeFigures
from jelmon_exporter.state.redis import RedisStore


async def test_figures_are_there_when_the_exporter_is_ready(
    own_nats_url: str, redis_url: str, exporting: Callable[..., Any], say: Any, until: Callable[..., Awaitable[None]]
) -> None:
    session = say.event(e.SessionStarted, e.SessionData(kind="agent"), "s", 0)
    async with exporting(nats_url=own_nats_url) as exporter, Publisher(own_nats_url) as publisher:
        await until(lambda: exporter.source.up)
        await publisher.publish_many([say.card_started("a", at=0), say.card_started("b", at=0), session])
    client = redis.asyncio.Redis.from_url(redis_url, decode_responses=True)
    async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
        await until(lambda: all(check.ok for check in exporter.checks().values()))
        figures: dict[Any, Any] = {}
        while figures.get("cards_in_progress") != "2.0":
            await exporter.realtime._store.publish(exporter.realtime.pipelines(), 30)
            figures = await client.hgetall("jelmore:metrics:main")
        await exporter.realtime._store.publish(exporter.realtime.sessions(), 300)
        lives = await client.ttl("jelmore:metrics:main")
        sessions = await client.hgetall("jelmore:sessions:agent")
        session_lives = await client.ttl("jelmore:sessions:agent")
    await client.aclose()

    assert figures["state"] == "stalled"  # its last activity is long ago
    assert 0 < lives <= 30
    assert sessions["active"] == "1.0"
    assert 30 < session_lives <= 300


def test_velocity_is_taken_over_a_quarter_of_an_hour(say: Any, books: Callable[..., Any]) -> None:
    one, now = books(), 0.0
    realtime = RealtimeFigures(RedisStore("redis://unused"), one.view, lambda: now)
    for minute in range(60):
        now = 60.0 * minute
        number = 2 if minute < 40 else 1
        for card in range(number):
            name = f"{minute}-{card}"
            one.apply(say.card_started(name, at=now), say.card_finished(name, at=now + 1))
        velocity = realtime.pipelines()["metrics:main"]["cards_per_hour"]
        if minute == 35:
            assert velocity == 120.0

    assert velocity == 60.0
