"""``jelmon stream``: creates the streams, and checks their configuration."""

import argparse
import asyncio
import os
import re
import sys

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, RetentionPolicy, StorageType, StreamInfo

from jelmon.config.settings import parse_duration
from jelmon.errors import plural
from jelmon.nats import partitions, streams
from jelmon.nats.connection import NatsSettings, add_nats_arguments
from jelmon.nats.subjects import DEAD_LETTER_STREAM, DUPLICATE_WINDOW_SECONDS, PARTITIONS, STREAM

_CONSUMER = re.compile(r"jelmon-(?:(?P<replica>.+)-)?\d+")
_EPILOG = """\
examples:
  jelmon stream init                create the streams of events and of dead letters
  jelmon stream init --replicas 3   in a cluster: keep each message on three servers
  jelmon stream info                show the streams, how far they are counted, and problems

Exit code 0: no findings, 1: findings.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon stream``."""
    parser.epilog = _EPILOG
    parser.add_argument("what", choices=("init", "info"))
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="init: copies of each message (default: 1)"
    )
    parser.add_argument("--max-age", metavar="DURATION", help="init: how long events are kept (default: 7d)")
    add_nats_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Create or check the streams.

    Raises:
        SourceError: NATS does not answer, or a stream cannot be created.
    """
    return asyncio.run(_run(args, NatsSettings.from_environ(os.environ, url=args.nats_url)))


async def _run(args: argparse.Namespace, settings: NatsSettings) -> int:
    async with streams.connected(settings, name="jelmon-stream") as client:
        context = client.jetstream()
        if args.what == "init":
            await _init(client, context, replicas=args.replicas, max_age=args.max_age)
        findings = await _info(client, context)
    for finding in findings:
        sys.stdout.write(f"finding: {finding}\n")
    return 1 if findings else 0


async def _init(client: Client, context: JetStreamContext, *, replicas: int, max_age: str | None) -> None:
    events = streams.event_stream(replicas=replicas)
    if max_age is not None:
        events = events.evolve(max_age=parse_duration(max_age, name="--max-age"))
    for config in (events, streams.dead_letter_stream(replicas=replicas)):
        created = await streams.ensure_stream(context, config)
        sys.stdout.write(f"stream {config.name}: {'created' if created else 'already exists, left unchanged'}\n")
    if await partitions.ensure_partitions(client):
        sys.stdout.write(f"stream {STREAM}: now partitioned\n")


async def _info(client: Client, context: JetStreamContext) -> list[str]:
    findings: list[str] = []
    for name in (STREAM, DEAD_LETTER_STREAM):
        try:
            info = await context.stream_info(name)
        except nats.js.errors.NotFoundError:
            findings.append(f"stream {name} is absent: `jelmon stream init` creates it")
            continue
        except (nats.js.errors.APIError, nats.errors.Error, TimeoutError) as error:
            raise streams.stream_error(error, name) from error
        _show(info)
        if name == STREAM:
            findings += _faults(info) + await _show_partitions(client, context, info)
            await _show_consumers(context)
        elif info.state.messages:
            findings.append(f"{plural(info.state.messages, 'event')} could not be read: see `jelmon dlq list`")
    return findings


def _show(info: StreamInfo) -> None:
    config, state = info.config, info.state
    age = f"for {plural(config.max_age / 86400, 'day')}" if config.max_age else "permanently"
    content = "empty"
    if state.messages:
        content = (
            f"{plural(state.messages, 'message')} ({state.bytes / 1e6:.1f} MB), "
            f"sequences {state.first_seq} to {state.last_seq}"
        )
    place = "in memory" if config.storage == StorageType.MEMORY else "on disk"
    sys.stdout.write(
        f"stream {config.name}: {content}; kept {age} {place}, {plural(config.num_replicas or 1, 'replica')}\n"
    )


def _faults(info: StreamInfo) -> list[str]:
    """Return what is wrong with the configuration of the stream of events."""
    config = info.config
    faults = []
    if config.storage != StorageType.FILE:
        faults.append("it is stored in memory: a restart of NATS loses events that are not counted yet")
    if config.retention != RetentionPolicy.LIMITS:
        faults.append("its retention is not by limits: events are deleted once they are acknowledged")
    if config.duplicate_window < DUPLICATE_WINDOW_SECONDS:
        faults.append(f"its duplicate window is {config.duplicate_window:g} s, too short for repeats by producers")
    return faults


async def _show_partitions(client: Client, context: JetStreamContext, info: StreamInfo) -> list[str]:
    """Show what partitions events whose publisher names no partition; return what is wrong with that."""
    version = client.connected_server_version
    if partitions.by_stream(info.config):
        shown = "the stream partitions events that arrive without one"
    elif await partitions.mapped_by_server(client):
        shown = "a mapping of the NATS server partitions events that arrive without one"
    else:
        shown = "the exporter copies events that arrive without one into theirs"
    if waiting := await partitions.waiting(context):
        shown += f"; {waiting} not copied yet"
    sys.stdout.write(f"partitions: {shown} (NATS {version.major}.{version.minor}.{version.patch})\n")
    if partitions.missing_subjects(info.config) or (
        not partitions.by_stream(info.config) and partitions.possible_by_stream(client)
    ):
        return ["events are not partitioned correctly: `jelmon stream init` fixes that"]
    return []


async def _show_consumers(context: JetStreamContext) -> None:
    """Show how far exporters have counted: those that share a Redis together, others individually."""
    consumers: list[ConsumerInfo] = []
    while page := await context.consumers_info(STREAM, offset=len(consumers)):
        consumers += page
    groups: dict[str, list[ConsumerInfo]] = {}
    for consumer in consumers:
        match = _CONSUMER.fullmatch(consumer.name)
        if match is not None:
            groups.setdefault(match["replica"] or "", []).append(consumer)
    for replica, group in sorted(groups.items()):
        whose = f" of exporter {replica}, which has its own state" if replica else ""
        behind = sum(consumer.num_pending or 0 for consumer in group)
        idle = "" if any(consumer.num_waiting for consumer in group) else "; no exporter is reading them"
        sys.stdout.write(f"consumers{whose}: {len(group)} of {PARTITIONS} partitions, {behind} messages behind{idle}\n")
    if not groups:
        sys.stdout.write("consumers: none, as no exporter has run recently\n")
