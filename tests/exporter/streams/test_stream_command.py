"""`jelmon stream info` tells how far each exporter is, wherever it keeps its state."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Until = Callable[..., Awaitable[None]]
Jelmon = Callable[..., subprocess.CompletedProcess[str]]


async def test_consumers_are_told_by_who_keeps_their_state(
    own_nats_url: str, redis_url: str, exporting: Callable[..., Any], until: Until, jelmon: Jelmon, tmp_path: Path
) -> None:
    async def info() -> list[str]:
        told = await asyncio.to_thread(jelmon, "stream", "info", "--nats.url", own_nats_url)
        assert told.returncode == 0, told.stdout
        return [line for line in told.stdout.splitlines() if line.startswith("consumers")]

    own = "consumers of exporter one, which has its own state: 16 of 16 partitions, 0 messages behind"
    async with exporting(nats_url=own_nats_url, redis_url=redis_url) as shared:
        await until(lambda: shared.source.up)
        before = await info()
        async with exporting(nats_url=own_nats_url, state_path=tmp_path / "state", replica="one") as alone:
            await until(lambda: alone.source.up)
            both = await info()
    after = await info()

    assert before == ["consumers: 16 of 16 partitions, 0 messages behind"]
    assert both == [*before, own]
    assert after == [f"{line}; no exporter is reading them" for line in both]
