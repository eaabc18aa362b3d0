"""What happens at one stage, as step functions of time summed into buckets, so that a window is a sum of buckets.

A stage is described by three counts that change at events: cards waiting (``q``), in service (``v``) and finished but
held up by the next stage (``b``). Between two changes everything grows linearly, so a stage is brought up to date only
when it changes or is asked.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BUCKETS_PER_WINDOW = 60
MAX_RUNS = 2000
"""Runs of a stage that are remembered one by one, for what is estimated from durations."""

# --- what a bucket sums: seconds, card-seconds, counts ---
(SATURATED, WAITING, BUSY, HELD, OWN_LOSS, CONTENDED, UNAVAILABLE, ARRIVALS, STARTS, FINISHES) = range(10)
FIELDS = 10

_SHARE, _SHARE_WAITING = 0.01, 0.05
"""A number in service counts if it, or more, lasted for this share of the time in which any card was in service."""
_FADE = 1 - 1 / (8 * BUCKETS_PER_WINDOW)
"""With each bucket: what was seen eight windows ago counts a third."""


class Run(NamedTuple):
    """One finished run: when its card was queued (if that was told), started and finished."""

    queued: float | None
    started: float
    finished: float
    card: str
    attempt: int
    held: bool
    """It was held up after its end."""


class Bucket:
    """The sums of one span of time."""

    __slots__ = ("blame", "number", "passed_on", "sums")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sums = [0.0] * FIELDS
        self.passed_on: dict[int, float] = {}
        """Card-seconds lost here because of another stage further on, which holds this one up."""
        self.blame: dict[int, float] = {}
        """Card-seconds of waiting here while a worker that also serves this stage served another."""


class Sums(NamedTuple):
    """A window of one stage, added up."""

    sums: NDArray[np.float64]
    passed_on: dict[int, float]
    blame: dict[int, float]
    queue_by_bucket: NDArray[np.float64]
    """Mean number waiting, oldest bucket first; only buckets that are whole."""


class Tally:
    """One stage: its counts now, and the buckets of the last window."""

    __slots__ = (
        "_bucket_seconds",
        "_end",
        "_kept",
        "_lengths",
        "_lengths_waiting",
        "_past",
        "arrival_times",
        "b",
        "bucket",
        "elsewhere",
        "idle_spans",
        "last_finish",
        "last_start",
        "name",
        "q",
        "root",
        "runs",
        "saturated",
        "since",
        "v",
        "waiting_since",
        "wanted",
        "wanted_until",
        "workers_declared",
        "workers_seen",
    )

    def __init__(self, name: str, index: int, *, window_seconds: float, at: float) -> None:
        self.name = name
        self.root = index
        """The stage to blame for what is lost here: this one, or the one at the end of the chain that holds it up."""
        self.q = self.v = self.b = 0
        self.wanted = 0
        """Cards that are held up in other stages because this one has no room: they wait for it too."""
        self.saturated = 0.0
        """Seconds in which cards waited and nothing was held up, ever."""
        self.wanted_until = float("-inf")
        """When a card that was held up for this stage was last let in."""
        self.since = at
        self.waiting_since = at
        self.last_start = self.last_finish = float("-inf")
        self.workers_declared: int | None = None
        self.workers_seen = 0
        self._lengths: list[float] = []
        self._lengths_waiting: list[float] = []
        """Number in service -> for how long; in all, and while cards waited (then every worker is busy)."""
        self.elsewhere: dict[int, int] = {}
        """Other stage -> how many workers that also serve this one it has now."""
        self.runs: deque[Run] = deque(maxlen=MAX_RUNS)
        self.arrival_times: deque[float] = deque(maxlen=MAX_RUNS)
        self.idle_spans: deque[list[float]] = deque(maxlen=MAX_RUNS)
        """Spans in which cards waited and a worker was free, but took none: begin and end."""
        self._bucket_seconds = window_seconds / BUCKETS_PER_WINDOW
        self._kept = BUCKETS_PER_WINDOW + 1
        self._past: deque[Bucket] = deque()
        self.bucket = Bucket(int(at // self._bucket_seconds))
        self._end = (self.bucket.number + 1) * self._bucket_seconds

    @property
    def workers(self) -> int:
        """How many cards it can serve at once: as declared, else as seen."""
        return self.workers_declared or self.workers_seen or self.v

    def is_full(self, room: int) -> bool:
        """Whether a queue of that capacity has no room; one that was ever longer has another capacity than that."""
        return self.q == room and (room > 0 or self.v + self.b >= self.workers > 0)

    def learn_workers(self, *, fade: float = 1.0) -> None:
        """Find anew how many workers there seem to be: the most in service, but for moments.

        When one card ends and the next one starts, clocks that differ show both in service for a moment.
        """
        shares = [(self._lengths_waiting, _SHARE_WAITING), (self._lengths, _SHARE)]
        self.workers_seen = max(_most(lengths, share) for lengths, share in shares)
        for lengths, _ in shares:
            lengths[:] = [length * fade for length in lengths]

    def settle_run(self, seconds: float, *, saturated: float, held: bool, has_room: bool, next_has_room: bool) -> None:
        """A run ends. In a line without room to queue it counts as saturated as a whole, or not at all.

        Where nobody can queue for a stage, whoever needs it next is still being served one stage before: a run after
        whose end a card is held up for the stage was waited for, all of it. And a run after whose end its own card
        is held up, as the next stage has no room for any, was waited for by nobody: earlier would not have helped.
        ``saturated`` is what was counted during the run. Workers side by side share the time.
        """
        if held and not next_has_room:
            self.bucket.sums[SATURATED] -= saturated / max(1, self.v + self.b)
        # events of one moment come in any order: whoever was let in just now was held up until the end of the run
        elif not held and not has_room and (self.q or self.wanted or self.wanted_until == self.since):
            self.bucket.sums[SATURATED] += max(0.0, seconds - saturated) / max(1, self.v + self.b)

    def advance(self, time: float) -> None:
        """Let time pass to ``time`` with the counts as they are."""
        if time <= self.since:
            return
        while time > self._end:
            self._grow(self._end - self.since)
            self.since = self._end
            self._next_bucket(time)
        self._grow(time - self.since)
        self.since = time

    def _grow(self, seconds: float) -> None:
        q, v, b = self.q, self.v, self.b
        bucket = self.bucket
        sums = bucket.sums
        if v:
            sums[BUSY] += seconds * v
            lengths = self._lengths
            if v >= len(lengths):
                more = [0.0] * (v + 1 - len(lengths))
                lengths += more
                self._lengths_waiting += more
            lengths[v] += seconds
            if q and not b:
                self._lengths_waiting[v] += seconds
        if b:
            sums[HELD] += seconds * b
            loss = seconds * (q + b)
            if q:
                sums[WAITING] += seconds * q
            bucket.passed_on[self.root] = bucket.passed_on.get(self.root, 0.0) + loss
        elif q or self.wanted:
            loss = seconds * q
            self.saturated += seconds
            sums[SATURATED] += seconds
            sums[WAITING] += loss
            sums[OWN_LOSS] += loss
            if self.elsewhere:
                sums[CONTENDED] += loss
                total = sum(self.elsewhere.values())
                blame = bucket.blame
                for stage, workers in self.elsewhere.items():
                    blame[stage] = blame.get(stage, 0.0) + loss * workers / total
            elif v < self.workers:
                sums[UNAVAILABLE] += loss
                spans = self.idle_spans
                if spans and spans[-1][1] >= self.since:
                    spans[-1][1] = self.since + seconds
                else:
                    spans.append([self.since, self.since + seconds])

    def _next_bucket(self, time: float) -> None:
        self._past.append(self.bucket)
        self.learn_workers(fade=_FADE)
        number = self.bucket.number + 1
        # after a long silence only the last window matters: nothing was at the stage, or the same cards all along
        first = int(time // self._bucket_seconds) - self._kept
        if number < first and not (self.q or self.v or self.b):
            number = first
            self.since = number * self._bucket_seconds
        self.bucket = Bucket(number)
        self._end = (number + 1) * self._bucket_seconds
        while self._past and self._past[0].number < number - self._kept:
            self._past.popleft()

    def window(self, now: float, seconds: float) -> Sums:
        """The sums of the last ``seconds`` before ``now``; of the bucket that the window cuts, the share inside."""
        self.advance(now)
        self.learn_workers()
        begin = now - seconds
        width = self._bucket_seconds
        buckets = [bucket for bucket in self._past if (bucket.number + 1) * width > begin]
        buckets.append(self.bucket)
        table = np.array([bucket.sums for bucket in buckets])
        shares = np.ones(len(buckets))
        oldest = buckets[0]
        if oldest.number * width < begin:
            covered = min((oldest.number + 1) * width, now) - oldest.number * width
            shares[0] = (min((oldest.number + 1) * width, now) - begin) / covered
        passed_on: dict[int, float] = {}
        blame: dict[int, float] = {}
        for bucket, share in zip(buckets, shares, strict=True):
            for stage, loss in bucket.passed_on.items():
                passed_on[stage] = passed_on.get(stage, 0.0) + loss * float(share)
            for stage, loss in bucket.blame.items():
                blame[stage] = blame.get(stage, 0.0) + loss * float(share)
        first = 1 if oldest.number * width < begin else 0
        return Sums(shares @ table, passed_on, blame, table[first:-1, WAITING] / width)


def _most(lengths: list[float], share: float) -> int:
    """The largest number that was reached for at least that share of the time."""
    least = share * sum(lengths)
    reached = 0.0
    for number in range(len(lengths) - 1, 0, -1):
        reached += lengths[number]
        if reached > least:
            return number
    return 0
