"""Running the tools' commands without a process of their own."""

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType

import nats
import nats.js.errors
import pytest

from jelmon.client import Publisher
from jelmon.nats.subjects import STREAM

Run = Callable[..., int]


@pytest.fixture
def run() -> Run:
    """``run(module, "--flag value", ...)``: what `cli.main` does with a command, without its handling of errors."""

    def run_command(module: ModuleType, *words: str) -> int:
        parser = argparse.ArgumentParser(allow_abbrev=False)
        module.add_arguments(parser)
        return int(module.run(parser.parse_args(" ".join(words).split())))

    return run_command


@pytest.fixture
def stream(nats_url: str) -> Iterator[Callable[[], int]]:
    """An empty stream of events; a function that says how many messages it holds."""

    async def fresh() -> None:
        client = await nats.connect(nats_url)
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await client.jetstream().purge_stream(STREAM)  # a stream made anew may find what was left on disk
            await client.jetstream().delete_stream(STREAM)
        await client.close()
        async with Publisher(nats_url) as publisher:
            await publisher.ensure_stream()

    async def count() -> int:
        client = await nats.connect(nats_url)
        info = await client.jetstream().stream_info(STREAM)
        await client.close()
        return info.state.messages

    asyncio.run(fresh())
    yield lambda: asyncio.run(count())
    asyncio.run(fresh())
