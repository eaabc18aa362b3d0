"""How fast the publisher is, against nats-py's own ways, in one run on one server: the ratios are what counts.

    python benchmarks/bench_client.py [--events 20000] [--rounds 3]

Each way publishes the same events, encoded by the same function, with a message id and an acknowledgement for each.
The ways take turns, so that a machine that is busy for a while is busy for all of them.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
from nats.aio.client import Client

from jelmon.client import Card, Publisher
from jelmon.events import Event, encode
from jelmon.jetstream import ensure_stream
from jelmon.stack import launch, servers
from jelmon.stack.processes import Processes
from jelmon.stream import STREAM, subject_of

Way = Callable[[str, list[Event]], Awaitable[None]]
WINDOW = 1000


async def one_by_one(url: str, events: list[Event]) -> None:
    """``await js.publish(...)`` for each event: what most producers write."""
    client = await nats.connect(url)
    context = client.jetstream()
    for event in events:
        await context.publish(subject_of(event), encode(event), headers={"Nats-Msg-Id": event.id})
    await client.close()


async def nats_publish_async(url: str, events: list[Event]) -> None:
    """nats-py's ``publish_async`` with a window of the same size."""
    client = await nats.connect(url)
    context = client.jetstream(publish_async_max_pending=WINDOW)
    for event in events:
        await context.publish_async(subject_of(event), encode(event), headers={"Nats-Msg-Id": event.id})
    await context.publish_async_completed()
    await client.close()


async def publish_many(url: str, events: list[Event]) -> None:
    """Ours; it also checks each event as a consumer would, and repeats what is not acknowledged."""
    async with Publisher(url, window=WINDOW) as publisher:
        await publisher.publish_many(events)


WAYS: dict[str, Way] = {
    "js.publish, one by one": one_by_one,
    "js.publish_async": nats_publish_async,
    "Publisher.publish_many": publish_many,
}


async def measure(url: str, count: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Events per second and CPU microseconds per event, for each way and round."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    client = await nats.connect(url)
    for _ in range(rounds):
        for name, way in WAYS.items():
            await _empty_stream(client)
            events: list[Event] = [
                Card(f"card-{number}", pipeline="bench").stage_started("tests", worker=f"w{number % 8}")
                for number in range(count)
            ]
            begin, cpu = time.perf_counter(), time.process_time()
            await way(url, events)
            seconds, busy = time.perf_counter() - begin, time.process_time() - cpu
            stored = (await client.jetstream().stream_info(STREAM)).state.messages
            if stored != count:
                raise SystemExit(f"{name}: {stored} of {count} events are stored")
            figures[name].append((count / seconds, busy / count * 1e6))
    await client.close()
    return figures


async def _empty_stream(client: Client) -> None:
    context = client.jetstream()
    if not await ensure_stream(context):
        await context.delete_stream(STREAM)
        await ensure_stream(context)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    program = servers.get(["nats-server"], say=_say)["nats-server"]
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder) / "logs") as processes:
        url = launch.nats(processes, program, Path(folder) / "nats")
        figures = asyncio.run(measure(url, args.events, args.rounds))
    base = statistics.median(rate for rate, _ in figures["js.publish, one by one"])
    lines = [f"{'':26}{'events/s':>10}{'CPU us/event':>14}{'ratio':>8}   (median of {args.rounds} x {args.events})"]
    for name, runs in figures.items():
        rate, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        lines.append(f"{name:26}{rate:10.0f}{cpu:14.1f}{rate / base:8.1f}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
