"""How fast the exporter is, whole path, beside an ordinary exporter over the same stream in the same run.

Path: JetStream -> decode -> duplicates -> card state -> histogram -> checkpoint in Redis -> acknowledgement. Rates are
events per second of the consumer's own CPU, which is steadier than events per second of wall clock; both are shown.

    python benchmarks/bench_exporter.py [--events 400000] [--only ours,batches,ordinary,steps,metrics,memory,growth]
"""

import argparse
import asyncio
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import STREAM, partition_of, subject_of, token

STAGES = ("analyse", "build", "test", "deploy")
START = datetime(2026, 1, 1, tzinfo=UTC)


def traffic(cards: int, *, first: int = 0, in_flight: int = 2000, stages: tuple[str, ...] = STAGES) -> Iterator[Any]:
    """The events of many cards, some thousands of them in flight at any time."""
    for block in range(first, first + cards, in_flight):
        numbers = range(block, min(block + in_flight, first + cards))
        for step in _steps(stages):
            for number in numbers:
                yield step(f"card-{number}", START + timedelta(seconds=number % 86400))


def _steps(stages: tuple[str, ...]) -> list[Any]:
    def card(kind: Any, after: float, **more: Any) -> Any:
        data = e.CardFinishedData(pipeline="main", **more) if more else e.CardData(pipeline="main")
        return lambda key, start: e.make(
            kind, data, source="/bench", subject=key, time=start + timedelta(seconds=after)
        )

    def stage(kind: Any, data: Any, after: float) -> Any:
        return lambda key, start: e.make(
            kind, data, source="/bench", subject=key, time=start + timedelta(seconds=after)
        )

    steps = [card(e.CardQueued, 0), card(e.CardStarted, 1)]
    for place, name in enumerate(stages):
        steps += [
            stage(e.StageQueued, e.StageData(pipeline="main", stage=name), 10 * place + 1),
            stage(e.StageStarted, e.StageStartedData(pipeline="main", stage=name, worker="w-1"), 10 * place + 2),
            stage(
                e.StageFinished,
                e.StageFinishedData(pipeline="main", stage=name, worker="w-1", outcome=e.Outcome.SUCCESS),
                10 * place + 9,
            ),
        ]
    return [*steps, card(e.CardFinished, 100, outcome=e.Outcome.SUCCESS)]


async def publish(url: str, events: Iterator[Any], *, batch: int = 1) -> tuple[int, float]:
    """Store events as the publisher sends them, with ids as headers. Returns their number and mean size."""
    client = await connection.connect(NatsSettings(url=url), name="bench", pending_size=64 * 1024 * 1024)
    context = client.jetstream()
    await streams.ensure_stream(context)
    count = size = messages = 0
    before = (await context.stream_info(STREAM)).state.messages

    async def stored() -> None:
        """The server drops what it is sent too fast: it keeps 10,000 messages that are not stored yet."""
        await client.flush()
        while (await context.stream_info(STREAM)).state.messages < before + messages:
            await asyncio.sleep(0.01)

    groups: dict[int, list[Any]] = {}
    for event in events:
        payload = e.encode(event)
        count, size = count + 1, size + len(payload)
        if batch == 1:
            await client.publish(subject_of(event), payload, headers={"Nats-Msg-Id": e.identity(event)})
            messages += 1
        else:
            group = groups.setdefault(partition_of(token(event.subject)), [])
            group.append(event)
            if len(group) == batch:
                await _publish_batch(client, group)
                messages += 1
        if count % 2000 == 0:
            await stored()
    for group in groups.values():
        if group:
            await _publish_batch(client, group)
            messages += 1
    await stored()
    await client.close()
    return count, size / count


async def _publish_batch(client: Client, group: list[Any]) -> None:
    subject = f"jelmore.events.batch.{token(group[0].subject)}"
    await client.publish(subject, e.encode_batch(group), headers={"Nats-Msg-Id": group[0].id})
    group.clear()


# --- children: one consumer each, in a process of its own ---


async def child_ours(nats_url: str, redis_url: str, count: int) -> dict[str, Any]:
    from jelmon.service.gc_tuning import collect_rarely
    from jelmon_exporter.app import Exporter
    from jelmon_exporter.settings import ExporterSettings

    settings = ExporterSettings(
        listen_address=ListenAddress("127.0.0.1", 0), nats=NatsSettings(url=nats_url), redis_url=redis_url
    )
    exporter = Exporter(settings)
    collect_rarely()  # as the command does
    started, cpu = time.perf_counter(), time.process_time()
    await exporter.start()

    def counted() -> int:
        values = [exporter.view.value(c.EVENTS_APPLIED, name) for name in e.EVENT_TYPES]
        return sum(int(value) for value in values if isinstance(value, int | float))

    while counted() < count:
        await asyncio.sleep(0.1)
    result = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "counted": counted()}
    result["commits"] = sum(exporter.process_series.cell(c.CHECKPOINT_TIME).counts)
    await exporter.stop()
    return result


async def child_ordinary(nats_url: str, _: str, count: int) -> dict[str, Any]:
    """What most exporters over JetStream look like: fetch, json, labels().observe(), ack each."""
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    counter = Counter("events", "Events.", ["type", "pipeline", "stage"], registry=registry)
    histogram = Histogram("run_seconds", "Runs.", ["pipeline", "stage"], buckets=c.WORK_BUCKETS, registry=registry)
    client = await connection.connect(NatsSettings(url=nats_url), name="ordinary")
    context = client.jetstream()
    started, cpu = time.perf_counter(), time.process_time()
    subscription = await context.pull_subscribe("jelmore.events.>", "ordinary", stream=STREAM)
    seen = 0
    begun: dict[tuple[str, str], datetime] = {}
    while seen < count:
        for message in await subscription.fetch(500, timeout=5):
            event = json.loads(message.data)
            data = event["data"]
            stage = data.get("stage", "")
            counter.labels(event["type"], data["pipeline"], stage).inc()
            key = (event["subject"], stage)
            moment = datetime.fromisoformat(event["time"])
            if event["type"].endswith("started"):
                begun[key] = moment
            elif event["type"].endswith("finished") and key in begun:
                elapsed = (moment - begun.pop(key)).total_seconds()
                histogram.labels(data["pipeline"], stage).observe(elapsed)
            await message.ack()
            seen += 1
    result = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "counted": seen}
    await client.close()
    return result


CHILDREN = {"ours": child_ours, "ordinary": child_ordinary}


def run_child(kind: str, nats_url: str, redis_url: str, count: int) -> dict[str, Any]:
    """Run one consumer in a fresh process."""
    command = [sys.executable, __file__, "--child", kind, nats_url, redis_url, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


class Stack:
    """A fresh NATS and Redis."""

    def __enter__(self) -> "Stack":
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._processes = Processes(folder / "logs")
        programs = servers.get(["nats-server", "redis-server"], say=lambda _: None)
        self.nats_url = launch.nats(self._processes, programs["nats-server"], folder / "nats")
        self.redis_url = launch.redis(self._processes, programs["redis-server"], folder / "redis")
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.stop()
        self._folder.cleanup()


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def row(name: str, result: dict[str, Any], count: int) -> float:
    rate: float = count / result["cpu"]
    say(
        f"  {name:<34} {rate / 1000:8.1f}k events per CPU-second   {1e6 * result['cpu'] / count:6.2f} us/event   "
        f"{count / result['seconds'] / 1000:7.1f}k/s wall"
        + (f"   {count / result['commits']:.0f} events a commit" if "commits" in result else "")
    )
    return rate


def bench_ingest(count: int, *, ordinary: bool, batches: bool, ours: bool) -> None:
    """Whole path, one event a message; the ordinary exporter; and batches of 100."""
    rates: dict[str, float] = {}
    per_card = len(_steps(STAGES))
    with Stack() as stack:
        total, size = asyncio.run(publish(stack.nats_url, traffic(count // per_card)))
        say(f"{total} events of {size:.0f} bytes, {per_card} a card, 16 partitions, NATS and Redis on this machine")
        if ours:
            rates["ours"] = row("ours", run_child("ours", stack.nats_url, stack.redis_url, total), total)
        if ordinary:
            rates["ordinary"] = row(
                "ordinary (fetch, json, labels)", run_child("ordinary", stack.nats_url, "", total), total
            )
        if len(rates) == 2:
            say(f"  ours / ordinary: {rates['ours'] / rates['ordinary']:.1f}x")
    if batches:
        with Stack() as stack:
            total, _ = asyncio.run(publish(stack.nats_url, traffic(count // per_card), batch=100))
            row("ours, batches of up to 100", run_child("ours", stack.nats_url, stack.redis_url, total), total)


def bench_metrics() -> None:
    """The page at 10,000 series: unchanged, with everything changed, and prometheus_client's."""
    from prometheus_client import CollectorRegistry, Counter, generate_latest

    from jelmon_exporter.series.cells import SeriesTable
    from jelmon_exporter.serving.exposition import Format, render
    from jelmon_exporter.serving.view import View

    table, view = SeriesTable(), View()
    histograms = [table.cell(c.STAGE_RUN_TIME, "main", f"s-{number}", "success") for number in range(400)]
    counters = [table.cell(c.STAGE_RUNS_STARTED, "main", f"s-{number}") for number in range(1200)]
    view.update(0, table.drain())
    lines = render(view, Format.TEXT_0_0_4).count("\n")
    registry = CollectorRegistry()
    theirs = Counter("x", "X.", ["pipeline", "stage"], registry=registry)
    for number in range(10_000):
        theirs.labels("main", f"s-{number}").inc()

    def timed(work: Any) -> float:
        samples = []
        for _ in range(30):
            started = time.perf_counter()
            work()
            samples.append(time.perf_counter() - started)
        return 1000 * statistics.quantiles(samples, n=20)[-1]

    def changed() -> None:
        for histogram in histograms:
            histogram.observe(5_000_000)
        for counter in counters:
            counter.add()
        view.update(0, table.drain())
        render(view, Format.TEXT_0_0_4).encode()

    say(f"/metrics at {lines} lines, 95th percentile")
    idle = timed(lambda: render(view, Format.TEXT_0_0_4).encode())
    busy = timed(changed)
    client = timed(lambda: generate_latest(registry))
    say(
        f"  ours, nothing changed {idle:.2f} ms; everything changed {busy:.1f} ms; generate_latest {client:.1f} ms "
        f"({client / idle:.0f}x)"
    )


def bench_memory() -> None:
    """Bytes of a card in flight and of a series, as Python counts them."""
    import tracemalloc

    from jelmon_exporter.counting.changes import drain
    from jelmon_exporter.counting.tracker import Tracker

    ledger = _ledger()
    tracker = Tracker(ledger)
    steps = _steps(STAGES)[:7]
    tracemalloc.start()
    before, cards = tracemalloc.get_traced_memory()[0], 20_000
    for first in range(0, cards, 100):
        for step in steps:
            events = [step(f"card-{number}", START) for number in range(first, first + 100)]
            tracker.apply([e.parse(e.encode(event)) for event in events])
        drain(ledger)
    ledger.deduplication._known.clear()
    ledger.deduplication.drain(1e12)
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / cards
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        ledger.table.cell(c.STAGE_RUNS_STARTED, "main", f"s-{number}")
    counter = (tracemalloc.get_traced_memory()[0] - before) / 10_000
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        ledger.table.cell(c.STAGE_QUEUE_TIME, "main", f"s-{number}")
    histogram = (tracemalloc.get_traced_memory()[0] - before) / 10_000
    say(
        f"memory: {each:.0f} bytes per card in flight (two stage runs known), {counter:.0f} per counter, "
        f"{histogram:.0f} per histogram of {len(c.WORK_BUCKETS) + 3} lines"
    )
    tracemalloc.stop()


def _ledger() -> Any:
    """One partition's, with its share of ids."""
    from jelmon.nats.subjects import PARTITIONS
    from jelmon_exporter.counting.admission import Admission
    from jelmon_exporter.counting.ledger import Ledger
    from jelmon_exporter.counting.limits import Limits

    return Ledger(limits=Limits().share(PARTITIONS), admission=Admission(1_000_000))


def bench_steps(count: int) -> None:
    """What the steps cost that need no server; the rest of the whole path is reading sockets and awaiting Redis."""
    from jelmon_exporter.counting.changes import drain
    from jelmon_exporter.counting.tracker import Tracker
    from jelmon_exporter.serving.view import View
    from jelmon_exporter.state.model import Position
    from jelmon_exporter.state.redis import RedisStore
    from jelmon_exporter.state.store import Claim

    store, claim, position = RedisStore("redis://127.0.0.1:1"), Claim(1, "token"), Position()
    for in_flight in (125, 16_000):
        payloads = [e.encode(event) for event in traffic(count // len(_steps(STAGES)), in_flight=in_flight)]
        batches = [payloads[begin : begin + 1000] for begin in range(0, len(payloads), 1000)]
        least: dict[str, float] = {}
        for _ in range(5):
            ledger, view = _ledger(), View()
            tracker, spent = Tracker(ledger), dict.fromkeys(("decode", "count", "take changes", "encode", "show"), 0.0)
            for batch in batches:
                at = [time.process_time()]
                events = [event for begin in range(0, 1000, 250) for event in e.parse_all(batch[begin : begin + 250])]
                at.append(time.process_time())
                tracker.apply(events)
                at.append(time.process_time())
                changes = drain(ledger)
                at.append(time.process_time())
                store._arguments(claim, position, changes, whole=False)
                at.append(time.process_time())
                view.update(0, changes.series)
                at.append(time.process_time())
                for step, begin, end in zip(spent, at, at[1:], strict=False):
                    spent[step] += end - begin
            for step, seconds in spent.items():
                least[step] = min(least.get(step, seconds), seconds)
        micros = {step: 1e6 * seconds / len(payloads) for step, seconds in least.items()}
        say(
            f"us/event, {in_flight} cards in flight in a partition: "
            + ", ".join(f"{step} {each:.2f}" for step, each in micros.items())
            + f"; together {sum(micros.values()):.2f}"
        )


def bench_growth(count: int) -> None:
    """Decoding, counting and encoding what changed, against series and cards in flight.

    Each event is of another card than the 999 before it, ids fill their horizon, and a commit follows each 1000 events:
    the same in all rows. Cards (stages) at work are those that events are about; the others are there and wait.
    """
    say("decode, count and encode changes, against series and cards in flight (one partition)")
    flat = 0.0
    for stages, busy, cards, at_work in (
        (4, 4, 1_000, 1_000),
        (400, 4, 1_000, 1_000),
        (4_000, 4, 1_000, 1_000),
        (8_000, 4, 1_000, 1_000),
        (4, 4, 10_000, 1_000),
        (4, 4, 100_000, 1_000),
        (4, 4, 1_000_000, 1_000),
        (4, 4, 100_000, 100_000),
        (4, 4, 1_000_000, 1_000_000),
        (400, 400, 1_000, 1_000),
        (4_000, 4_000, 1_000, 1_000),
    ):
        growing = Growing(stages, busy)
        growing.fill(cards - at_work)
        taken, elapsed = 0, 0.0
        while taken < count:
            numbers = growing.fill(at_work)
            sample = random.Random(1).sample(numbers, min(at_work, max(1000, count // 3)))
            elapsed += growing.work(sample)
            taken += 3 * len(sample)
        found, cells = taken / elapsed, len(growing.ledger.table.cells)
        flat = flat or found
        say(
            f"  {cells:>7} series, {busy:>5} stages at work {cards:>9} cards in flight, {at_work:>9} at work "
            f"{found / 1000:8.1f}k events/s ({100 * found / flat - 100:+4.0f} %)"
        )
        del growing
        gc.collect()


def _anything() -> e.Envelope:
    return e.make(e.CardQueued, e.CardData(pipeline="main"), source="/bench", subject="card")


class Growing:
    """One partition, and cards that go through it."""

    def __init__(self, stages: int, busy: int) -> None:
        from jelmon_exporter.counting.changes import drain
        from jelmon_exporter.counting.tracker import Tracker
        from jelmon_exporter.state.model import Position
        from jelmon_exporter.state.redis import RedisStore
        from jelmon_exporter.state.store import Claim

        self.ledger = _ledger()
        self.ledger.now = START.timestamp()
        self._tracker = Tracker(self.ledger)
        self._store, self._claim, self._position = RedisStore("redis://127.0.0.1:1"), Claim(1, "token"), Position()
        self._cards = 0
        names = [f"s-{number}" for number in range(stages)]
        for name in names:
            self.ledger.pipeline("main").stage(name)
        drain(self.ledger)
        self._names = names[:: stages // busy][:busy]
        for _ in range(63):
            self.ledger.deduplication.admit([_anything() for _ in range(1000)])
            drain(self.ledger)

    def fill(self, cards: int) -> range:
        """New cards start their first stage. Returns their numbers."""
        numbers = range(self._cards, self._cards + cards)
        for begin in range(numbers.start, numbers.stop, 1000):
            part = range(begin, min(begin + 1000, numbers.stop))
            self._apply([self._event(e.StageStarted, e.StageStartedData, one, 0, 0) for one in part])
        self._cards += cards
        return numbers

    def work(self, numbers: list[int]) -> float:
        """These cards finish their stage, are queued for the next, and start it. Returns seconds of CPU."""
        payloads = [
            *(self._event(e.StageFinished, e.StageFinishedData, one, 5, 0, outcome="success") for one in numbers),
            *(self._event(e.StageQueued, e.StageData, one, 6, 1) for one in numbers),
            *(self._event(e.StageStarted, e.StageStartedData, one, 7, 1) for one in numbers),
        ]
        elapsed = 0.0
        for begin in range(0, len(payloads), 1000):
            part = payloads[begin : begin + 1000]
            before = time.process_time()
            self._apply(part)
            elapsed += time.process_time() - before
        return elapsed

    def _event(self, kind: Any, data: Any, number: int, after: float, next_stage: int, **more: Any) -> bytes:
        stage = self._names[(number + next_stage) % len(self._names)]
        moment = START + timedelta(seconds=number % 600 + after)
        made = data(pipeline="main", stage=stage, **more)
        return e.encode(e.make(kind, made, source="/bench", subject=f"card-{number}", time=moment))

    def _apply(self, payloads: list[bytes]) -> None:
        from jelmon_exporter.counting.changes import drain

        for begin in range(0, len(payloads), 250):
            self._tracker.apply(e.parse_all(payloads[begin : begin + 250]))
        self._store._arguments(self._claim, self._position, drain(self.ledger), whole=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--only", default="ours,ordinary,batches,steps,metrics,memory,growth")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        kind, nats_url, redis_url, count = args.child
        say(json.dumps(asyncio.run(CHILDREN[kind](nats_url, redis_url, int(count)))))
        return
    only = set(args.only.split(","))
    from jelmon.service.gc_tuning import collect_rarely

    if only & {"ours", "ordinary", "batches"}:
        bench_ingest(args.events, ours="ours" in only, ordinary="ordinary" in only, batches="batches" in only)
    if "steps" in only:
        collect_rarely()
        bench_steps(min(args.events, 60_000))
    if "metrics" in only:
        bench_metrics()
    if "memory" in only:
        bench_memory()
    if "growth" in only:
        collect_rarely()
        bench_growth(min(args.events, 60_000))


if __name__ == "__main__":
    main()
