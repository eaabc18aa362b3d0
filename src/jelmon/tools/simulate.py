"""``jelmon simulate``: publish the events of a simulated pipeline, in real time or faster."""

import argparse
import asyncio
import contextlib
import math
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from jelmon.client import Publisher
from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError
from jelmon.events import CardFinished, CardQueued, CardStarted, Envelope, encode
from jelmon.nats.connection import add_nats_arguments
from jelmon.tools.simulation.background import Step
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import Change, Scenario
from jelmon.tools.simulation.scenario_file import dump, load

_REPORT_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--scenario", default="demo", metavar="NAME|FILE", help="demo, demo-week, or a YAML file (default: demo)"
    )
    parser.add_argument("--print-scenario", action="store_true", help="print the scenario as YAML and exit")
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="simulated duration (default: until Ctrl-C)")
    parser.add_argument(
        "--speed",
        type=_factor,
        default=1.0,
        metavar="X",
        help="speed relative to real time; 0 is as fast as possible (default: 1)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same events (default: random)")
    parser.add_argument("--pipeline", metavar="NAME", help="pipeline name (default: that of the scenario)")
    when = parser.add_argument_group("faults (seconds from the start, or never)")
    when.add_argument("--slow-at", type=_moment, metavar="S", help="when a stage slows down")
    when.add_argument("--stall-at", type=_moment, metavar="S", help="when the pipeline stalls")
    when.add_argument("--stall-seconds", type=_moment, metavar="N", help="length of the stall (default: to the end)")
    parser.add_argument("--dry-run", action="store_true", help="print the events as JSON Lines, send nothing")
    parser.add_argument("--create-stream", action="store_true", help="create the stream if it does not exist")
    add_nats_arguments(parser)
    parser.epilog = """examples:
  jelmon simulate                                      the demo: a slow-down after 60 s, a stall after 100 s
  jelmon simulate --stall-at never --slow-at never     the demo without faults
  jelmon simulate --seconds 6h --speed 0 --stall-at never   six hours of history, at once, ending now
  jelmon simulate --dry-run --speed 0 --seconds 60     print the events
  jelmon simulate --print-scenario > mine.yaml; jelmon simulate --scenario mine.yaml
"""


def run(args: argparse.Namespace) -> int:
    """Simulate until the end or Ctrl-C."""
    scenario = _scenario(args)
    if args.print_scenario:
        sys.stdout.write(dump(scenario))
        return 0
    seconds = math.inf if args.seconds is None else args.seconds
    if args.speed != 1 and seconds == math.inf:
        raise ConfigError(
            "--speed other than 1 needs --seconds", hint="the simulated time must end now, so its length must be known"
        )
    seed = random.randrange(2**32) if args.seed is None else args.seed
    # simulated time ends when the last event is sent: events must not be in the future
    lead = 0.0 if args.speed == 1 else seconds - (seconds / args.speed if args.speed else 0.0)
    start = datetime.now(UTC) - timedelta(seconds=lead)
    _say(f"simulating pipeline {scenario.pipeline} with seed {seed}; Ctrl-C ends")
    pace = _Pace(scenario, args.speed)
    steps = simulate(scenario, seed=seed, start=start, seconds=seconds)
    if args.dry_run:
        return asyncio.run(_print(pace, steps))
    return asyncio.run(_publish(args, pace, steps))


async def _print(pace: "_Pace", steps: Iterator[Step]) -> int:
    async with contextlib.aclosing(pace.events(steps)) as events:
        async for event in events:
            sys.stdout.write(f"{encode(event).decode()}\n")
            if pace.in_real_time:
                sys.stdout.flush()
    pace.report("end")
    return 0


async def _publish(args: argparse.Namespace, pace: "_Pace", steps: Iterator[Step]) -> int:
    async with Publisher(args.nats_url, name="jelmon-simulate", batch=1) as publisher:
        if args.create_stream:
            await publisher.ensure_stream()
        summary = await publisher.publish_many(pace.events(steps))
    pace.report("end")
    _say(f"{summary.stored} events stored" + (f", {summary.duplicates} already stored" * bool(summary.duplicates)))
    return 0


class _Pace:
    """Release events when they are due, and report progress on stderr."""

    def __init__(self, scenario: Scenario, speed: float) -> None:
        self._changes = list(scenario.changes)
        self._speed = speed
        self._now = 0.0
        self._reported = 0.0
        self._counts: Counter[str] = Counter()

    @property
    def in_real_time(self) -> bool:
        return self._speed > 0

    async def events(self, steps: Iterator[Step]) -> AsyncGenerator[Envelope, None]:
        """Yield each event when it is due, until they end or a signal arrives."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        begin = time.monotonic()
        try:
            for step in steps:
                if self.in_real_time:
                    await _sleep(begin + step.at / self._speed - time.monotonic(), stop)
                if stop.is_set():
                    return
                self._notice(step)
                yield step.event
                if not self.in_real_time and self._counts["events"] % 1000 == 0:
                    await asyncio.sleep(0)  # let signals be handled
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _notice(self, step: Step) -> None:
        self._now = step.at
        while self._changes and self._changes[0].at_seconds <= step.at:
            change = self._changes.pop(0)
            _say(f"{change.at_seconds:6.0f} s  {change}")
        self._counts["events"] += 1
        match step.event:
            case CardQueued():
                self._counts["arrived"] += 1
            case CardStarted():
                self._counts["started"] += 1
            case CardFinished(data=data):
                self._counts["finished"] += 1
                self._counts[data.outcome] += 1
            case _:
                pass
        if self.in_real_time and (step.at - self._reported) / self._speed >= _REPORT_SECONDS:
            self.report()

    def report(self, title: str = "") -> None:
        """Write a summary line to stderr."""
        self._reported = self._now
        counts = self._counts
        _say(
            f"{self._now:6.0f} s  {title}{': ' * bool(title)}{counts['arrived']} cards arrived, "
            f"{counts['arrived'] - counts['started']} wait, {counts['started'] - counts['finished']} in progress, "
            f"{counts['finished']} finished ({counts['success']} with success), {counts['events']} events"
        )


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


def _scenario(args: argparse.Namespace) -> Scenario:
    """Return the scenario with the changes of the flags: its first slowdown and its first stall."""
    scenario = load(args.scenario)
    if args.pipeline is not None:
        scenario = scenario.renamed(args.pipeline)
    changes = list(scenario.changes)
    slow = Change(at_seconds=0, kind="slow", factor=3)
    stall = Change(at_seconds=0, kind="stall")
    for example, at in ((slow, args.slow_at), (stall, args.stall_at)):
        if at is None:
            continue
        mine = next((change for change in changes if change.kind == example.kind), None)
        if mine is not None:
            changes.remove(mine)
        if at < math.inf:
            changes.append(msgspec.structs.replace(mine or example, at_seconds=at))
    if args.stall_seconds is not None and args.stall_seconds < math.inf:
        first = next((change for change in changes if change.kind == "stall"), None)
        if first is None:
            raise ConfigError("--stall-seconds: there is no stall in this scenario", hint="add --stall-at S")
        changes.append(Change(at_seconds=first.at_seconds + args.stall_seconds, kind="recover", stage=first.stage))
    return scenario.with_changes(tuple(changes))


def _seconds(text: str) -> float:
    """Return the seconds of ``90`` or ``1h30m``."""
    try:
        value = float(text)
    except ValueError:
        try:
            return parse_duration(text, name="value")
        except ConfigError as error:
            raise argparse.ArgumentTypeError(f"{error.message}; write seconds, or 30s, 5m, 1h30m, 7d") from error
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value


def _moment(text: str) -> float:
    """Return the seconds as `_seconds` does, or infinity for ``never``."""
    return math.inf if text == "never" else _seconds(text)


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1000000")
    return value


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
