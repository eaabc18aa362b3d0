"""Mutated events into a ledger: whatever they are, they are counted or refused, nothing raises, and memory stays flat.

    python benchmarks/fuzz_events.py [--events 200000] [--seed 1]

Bytes are flipped, cut, doubled and inserted; fields get values of other types and at their limits. Each batch goes
through what the exporter does with a message: decode, count, drain, encode, restore. Exit code 0 if nothing raised and
memory did not grow by more than a tenth in the second half, 1 if not.
"""

import argparse
import gc
import random
import resource
import sys
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from bench_exporter import START, traffic
from jelmon import events as e
from jelmon.errors import Rejection
from jelmon.nats.consumer_messages import Message
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.changes import drain, drain_all
from jelmon_exporter.counting.decoding import decode
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.restore import restore
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.serving.exposition import Format, render
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.encoding import encode, encode_key, read_declared, read_ids, read_series
from jelmon_exporter.state.model import Snapshot, Unreadable

BATCH = 200
LIMITS = Limits(
    label_values=50,
    deduplication_ids=20_000,
    finished_entries=5_000,
    finished_seconds=60.0,
    overflow_pipelines=200,
    retention_seconds=600.0,
    idle_seconds=600.0,
)
HOSTILE: tuple[Any, ...] = (
    None, True, "", "other", "\x00", "\u202e", "é" * 60, "a" * 129, "a" * 300, -1, 0, 1, 2**31, 2**53, 2**63, 2**70,
    1e308, 1e-320, -0.0, [], {}, [[]], {"a": {}}, "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999-12:00",
    "1970-01-01T00:00:00Z", "2026-01-01T00:00:00+23:59", "2026-06-30T23:59:60Z", "2026-01-01", "success",
)  # fmt: skip


def samples() -> list[bytes]:
    """One event of each kind that the traffic has not, and whole cards."""
    made: list[Any] = list(traffic(20, in_flight=5))
    work = e.Outcome.SUCCESS
    kinds: list[tuple[type[Any], e.Data]] = [
        (e.StageRetried, e.StageData(pipeline="main", stage="build", attempt=2)),
        (e.GateEvaluated, e.GateEvaluatedData(pipeline="main", gate="g", verdict=e.Verdict.PASSED)),
        (e.ScanFinished, e.ScanFinishedData(pipeline="main", scanner="s", outcome=work, findings={e.Severity.LOW: 2})),
        (e.SessionStarted, e.SessionData(kind="chat")),
        (e.SessionFinished, e.SessionFinishedData(kind="chat", outcome=work)),
        (e.CallFinished, e.CallFinishedData(target="t", outcome=work, duration_seconds=1.0, error="x")),
        (e.ActionRequested, e.ActionRequestedData(action="scale_up", requested_by="a")),
        (e.ActionFinished, e.ActionFinishedData(action="scale_up", outcome=work)),
        (e.PipelineDeclared, e.PipelineDeclaredData(pipeline="main", stages=(e.StageDeclaration(stage="build"),))),
    ]
    for kind, data in kinds:
        made.append(e.make(kind, data, source="/fuzz", subject="card-1", time=START))
    return [e.encode(event) for event in made]


class Mutator:
    """Changes events, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._samples = samples()
        self._number = 0

    def event(self) -> bytes:
        payload = self.random.choice(self._samples)
        if self.random.random() < 0.7:
            payload = self._structure(payload)
        for _ in range(self.random.choice((0, 0, 1, 3))):
            payload = self._bytes(payload)
        if self.random.random() < 0.05:
            payload = b"[" + b",".join([payload] * self.random.choice((1, 3, 101))) + b"]"
        return payload

    def _structure(self, payload: bytes) -> bytes:
        event = msgspec.json.decode(payload)
        self._number += 1
        event["id"] = str(self._number)
        for _ in range(self.random.choice((0, 1, 1, 2))):
            where = event if self.random.random() < 0.4 else event["data"]
            if not isinstance(where, dict):
                break
            name = self.random.choice([*where, "surplus"])
            where[name] = self._value(where.get(name))
        return msgspec.json.encode(event)

    def _value(self, value: Any) -> Any:
        match self.random.randrange(4):
            case 0:
                return f"name-{self.random.randrange(100_000)}"  # a flood of names
            case 1:
                return self.random.uniform(-1e6, 1e12)
            case 2:
                return [value, value]
        return self.random.choice(HOSTILE)

    def _bytes(self, payload: bytes) -> bytes:
        at = self.random.randrange(len(payload) + 1)
        end = min(len(payload), at + self.random.randrange(1, 9))
        match self.random.randrange(5):
            case 0:
                return payload[:at]
            case 1:
                return payload[:at] + payload[end:]
            case 2:
                return payload[:end] + payload[at:end] + payload[end:]
            case 3:
                return payload[:at] + self.random.randbytes(end - at) + payload[end:]
        return (
            payload[:at]
            + self.random.choice((b"\xff", b"\\ud800", b"\x00", b"[" * 600, b"{}", b'"', b"1e999"))
            + payload[at:]
        )


class Counting:
    """A ledger that is drained after each batch, and restored from what was stored now and then."""

    def __init__(self) -> None:
        self.refused: Counter[Rejection] = Counter()
        self.counted = 0
        self.view = View()
        self._new(Snapshot())

    def _new(self, snapshot: Snapshot) -> None:
        self.ledger = Ledger(limits=LIMITS, admission=Admission(LIMITS.label_values))
        faults = restore(self.ledger, snapshot)
        assert not faults, faults
        self._tracker = Tracker(self.ledger)

    def batch(self, messages: list[Message], now: float) -> None:
        events, refused = decode(messages)
        self.refused.update(one.error.reason for one in refused)
        self.counted += len(events)
        self.ledger.now = now
        self._tracker.apply(events)
        changes = drain(self.ledger)
        self.view.update(0, changes.series)
        self.view.declare(0, changes.declared)
        self.view.exemplify(changes.exemplars)
        for key, value in changes.series.items():
            encode_key(key), encode(value)

    def restart(self) -> None:
        """Store everything, and go on from what is read back."""
        whole, faults = drain_all(self.ledger), list[Unreadable]()
        stored = [(encode_key(key), encode(value)) for key, value in whole.series.items() if value is not None]
        declared = [(name.encode(), encode(one)) for name, one in whole.declared.items()]
        snapshot = Snapshot(
            series=read_series(stored, faults),
            entries={name: entry for name, entry in whole.entries.items() if entry is not None},
            declared=read_declared(declared, faults),
            ids=read_ids([encode((self.ledger.now, whole.ids))], faults),
        )
        assert not faults, faults
        self._new(snapshot)
        for form in Format:
            render(self.view, form).encode()


def fuzz(events: int, seed: int, say: Callable[[str], object]) -> int:
    """Count mutated events; return how many batches raised, or -1 if memory grew."""
    mutator, counting, raised = Mutator(seed), Counting(), 0
    tracemalloc.start()
    half = 0
    for number in range(0, events, BATCH):
        messages = [
            (mutator.event(), b"jelmore.events.card.0.x", b"$JS.ACK.J.c.1.%d.%d.0.0" % (at, at))
            for at in range(number + 1, number + BATCH + 1)
        ]
        try:
            counting.batch(messages, START.timestamp() + number / 100)
            if number % (BATCH * 50) == 0:
                counting.restart()
        except Exception:
            raised += 1
            say(traceback.format_exc())
            counting = Counting()
        if number <= events // 2 < number + BATCH:
            gc.collect()
            half = tracemalloc.get_traced_memory()[0]
    gc.collect()
    end = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    refused = ", ".join(f"{number} {reason.value}" for reason, number in counting.refused.most_common())
    say(f"{events} mutated messages: {counting.counted} events counted; refused: {refused}; {raised} batches raised")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"memory: {half / 1e6:.1f} MB after half of them, {end / 1e6:.1f} MB at the end; process {peak:.0f} MB at most")
    return raised if raised or end < 1.1 * half + 1e6 else -1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    return 1 if fuzz(args.events, args.seed, lambda text: sys.stdout.write(f"{text}\n")) else 0


if __name__ == "__main__":
    sys.exit(main())
