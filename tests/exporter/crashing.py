"""An exporter that dies hard, as by kill -9, at a chosen checkpoint: `crashing.py NATS_URL REDIS_URL POINT NUMBER`."""

import asyncio
import os
import signal
import sys
from typing import Any

from jelmon.config.settings import ListenAddress
from jelmon.nats.connection import NatsSettings
from jelmon.service.lifecycle import run_until_signal
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.state.redis import RedisStore


class CrashingStore(RedisStore):
    """Dies before or after the checkpoint of that number; after it, nothing is acknowledged yet."""

    def __init__(self, url: str, point: str, number: int) -> None:
        super().__init__(url, renew_seconds=0.2)
        self._point = point
        self._left = number

    async def commit(self, partition: int, **what: Any) -> None:
        if what["changes"].ids:  # only commits that count events
            self._left -= 1
        if self._left <= 0 and self._point == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().commit(partition, **what)
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(nats_url: str, redis_url: str, point: str, number: str) -> None:
    settings = ExporterSettings(
        listen_address=ListenAddress("127.0.0.1", 0),
        nats=NatsSettings(url=nats_url),
        batch_messages=10,
        batch_seconds=0.02,
    )
    exporter = Exporter(settings, store=CrashingStore(redis_url, point, int(number)))
    await run_until_signal(exporter)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
