"""``jelmon dlq``: lists, replays or drops events that the exporter could not read."""

import argparse
import asyncio
import os
import sys

from jelmon.errors import plural
from jelmon.nats import streams
from jelmon.nats.connection import NatsSettings, add_nats_arguments
from jelmon_exporter.streams.dead_letters import DeadLetter, dead_letters, drop, replay

_EPILOG = """\
examples:
  jelmon dlq list                list the parked events and the reasons
  jelmon dlq list 3 --payload    also print the payload of one
  jelmon dlq replay 3 4          publish these again, once the exporter or the producer is fixed
  jelmon dlq replay --all
  jelmon dlq drop --all          delete them

Exit code of list: 0 if nothing is parked, else 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon dlq``."""
    parser.epilog = _EPILOG
    parser.add_argument("what", choices=("list", "replay", "drop"))
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="numbers as `list` prints them")
    parser.add_argument("--all", action="store_true", help="all events (`list` prints all by default)")
    parser.add_argument("--payload", action="store_true", help="list: also print the payload")
    add_nats_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """List, replay or drop.

    Raises:
        SourceError: NATS or a stream does not answer.
    """
    if args.what != "list" and bool(args.numbers) == args.all:
        sys.stderr.write(f"jelmon dlq {args.what}: give numbers, or --all\n")
        return 2
    return asyncio.run(_run(args, NatsSettings.from_environ(os.environ, url=args.nats_url)))


async def _run(args: argparse.Namespace, settings: NatsSettings) -> int:
    async with streams.connected(settings, name="jelmon-dlq") as client:
        context = client.jetstream()
        count = 0
        async for letter in dead_letters(context, args.numbers):
            count += 1
            if args.what == "list":
                _show(letter, payload=args.payload)
            else:
                await (replay if args.what == "replay" else drop)(context, letter)
        done = {"list": "parked", "replay": "published again", "drop": "dropped"}[args.what]
        sys.stdout.write(f"{plural(count, 'event')} {done}\n")
        return 1 if args.what == "list" and count else 0


def _show(letter: DeadLetter, *, payload: bool) -> None:
    time = letter.time.isoformat(timespec="seconds") if letter.time else ""
    sys.stdout.write(f"{letter.number:>6}  {time}  {letter.reason:<12}  {letter.subject}  {letter.message}\n")
    if payload:
        sys.stdout.write(f"        {letter.payload!r}\n")
