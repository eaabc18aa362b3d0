"""How fast the publisher is, against nats-py's own ways, in one run on one server: the ratios are what counts.

    python benchmarks/bench_client.py [--events 20000] [--rounds 3]

Each way publishes the same events, encoded by the same function, and waits until all are acknowledged. Ours once with
each event in a message of its own, as nats-py does, and once with those together that have to wait (batches). The ways
take turns, so that a machine that is busy for a while is busy for all of them.

The first table is about many events at once, the second about many tasks that publish one event after the other, the
third about a single task that does: the time until an event is stored, when nothing else is going on.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from jelmon.client import Card, Publisher
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.events import Event, encode, split
from jelmon.nats.streams import ensure_stream
from jelmon.nats.subjects import STREAM, subject_of

Way = Callable[[str, list[Event]], Awaitable[None]]
WINDOW = 4000
TASKS = 500


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


def publish_many(batch: int) -> Way:
    """Ours; it also checks each event as a consumer would, and repeats what is not acknowledged."""

    async def way(url: str, events: list[Event]) -> None:
        async with Publisher(url, window=WINDOW, batch=batch) as publisher:
            await publisher.publish_many(events)

    return way


async def nats_tasks(url: str, events: list[Event]) -> None:
    """Many tasks with ``await js.publish(...)``."""
    client = await nats.connect(url)
    context, remaining = client.jetstream(), iter(events)

    async def work() -> None:
        for event in remaining:
            await context.publish(subject_of(event), encode(event), headers={"Nats-Msg-Id": event.id}, timeout=60)

    await asyncio.gather(*(work() for _ in range(TASKS)))
    await client.close()


def our_tasks(batch: int, tasks: int = TASKS) -> Way:
    """Many tasks with ``await publisher.publish(...)``."""

    async def way(url: str, events: list[Event]) -> None:
        async with Publisher(url, batch=batch) as publisher:
            remaining: Iterator[Event] = iter(events)

            async def work() -> None:
                for event in remaining:
                    await publisher.publish(event)

            await asyncio.gather(*(work() for _ in range(tasks)))

    return way


MANY: dict[str, Way] = {
    "js.publish, one by one": one_by_one,
    "js.publish_async": nats_publish_async,
    "publish_many, batch=1": publish_many(1),
    "publish_many": publish_many(100),
}
CONCURRENT: dict[str, Way] = {
    "js.publish": nats_tasks,
    "publish, batch=1": our_tasks(1),
    "publish": our_tasks(100),
}
ALONE: dict[str, Way] = {
    "js.publish": one_by_one,
    "publish, batch=1": our_tasks(1, tasks=1),
    "publish": our_tasks(100, tasks=1),
}


async def measure(url: str, ways: dict[str, Way], count: int, rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """Events per second, CPU microseconds per event and events per message, for each way and round."""
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    client = await nats.connect(url)
    for _ in range(rounds):
        for name, way in ways.items():
            await _empty_stream(client)
            events: list[Event] = [
                Card(f"card-{number}", pipeline="bench").stage_started("tests", worker=f"w{number % 8}")
                for number in range(count)
            ]
            begin, cpu = time.perf_counter(), time.process_time()
            await way(url, events)
            seconds, busy = time.perf_counter() - begin, time.process_time() - cpu
            messages = await _messages(client)
            stored = sum(len(split(message)) for message in messages)
            if stored != count:
                raise SystemExit(f"{name}: {stored} of {count} events are stored")
            figures[name].append((count / seconds, busy / count * 1e6, count / len(messages)))
    await client.close()
    return figures


async def _messages(client: Client) -> list[bytes]:
    """What the stream holds."""
    context = client.jetstream()
    config = ConsumerConfig(ack_policy=AckPolicy.NONE)
    subscription = await context.pull_subscribe("", stream=STREAM, config=config)
    left = (await context.stream_info(STREAM)).state.messages
    found: list[bytes] = []
    while len(found) < left:
        found += [message.data or b"" for message in await subscription.fetch(min(1000, left - len(found)))]
    await subscription.unsubscribe()
    return found


async def _empty_stream(client: Client) -> None:
    context = client.jetstream()
    if not await ensure_stream(context):
        await context.purge_stream(STREAM)  # a stream made anew may find what was left on disk
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
        few = max(1, args.events // 10)
        for title, ways, count in (
            ("many events at once", MANY, args.events),
            (f"{TASKS} tasks, one event after the other", CONCURRENT, args.events),
            ("one task, one event after the other", ALONE, few),
        ):
            _table(f"{title} (median of {args.rounds} x {count})", asyncio.run(measure(url, ways, count, args.rounds)))
    return 0


def _table(title: str, figures: dict[str, list[tuple[float, ...]]]) -> None:
    base = statistics.median(run[0] for run in next(iter(figures.values())))
    lines = [title, f"{'':26}{'events/s':>10}{'CPU us/event':>14}{'events/message':>16}{'ratio':>8}"]
    for name, runs in figures.items():
        rate, cpu, packed = (statistics.median(column) for column in zip(*runs, strict=True))
        lines.append(f"{name:26}{rate:10.0f}{cpu:14.1f}{packed:16.1f}{rate / base:8.1f}")
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
