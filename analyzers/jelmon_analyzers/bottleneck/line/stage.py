"""What happens at one stage, as step functions of time summed into buckets.

A stage has three counts that change at events: cards waiting, in service, and blocked (finished, but the next stage has
no room). Between two changes every sum grows linearly, so a stage is brought up to date only when it changes or is
read.
"""

from collections import deque
from typing import NamedTuple

from jelmon_analyzers.bottleneck.line.buckets import (
    BLOCKED,
    BUCKETS_PER_WINDOW,
    BUSY,
    CONTENDED,
    LOCAL_LOSS,
    SATURATED,
    UNAVAILABLE,
    WAITING,
    Bucket,
    WindowSums,
    sum_window,
)
from jelmon_analyzers.bottleneck.line.worker_estimation import FADE, WorkerEstimate

MAX_RUNS = 2000
"""Runs remembered one by one, for what is estimated from durations."""


class Run(NamedTuple):
    """One finished run: when its card was queued (if known), started and finished, in seconds since the epoch."""

    queued: float | None
    started: float
    finished: float
    card: str
    attempt: int
    blocked: bool
    """The card was blocked when the run ended."""


class Stage:
    """One stage: its counts now, and the buckets of the last window."""

    __slots__ = (
        "_bucket_end",
        "_bucket_seconds",
        "_buckets_kept",
        "_past",
        "_worker_estimate",
        "arrival_times",
        "blamed_stage",
        "blocked",
        "blocked_upstream",
        "bucket",
        "idle_spans",
        "in_service",
        "last_finish",
        "last_start",
        "last_unblocked_upstream",
        "name",
        "runs",
        "saturated_seconds",
        "updated_at",
        "waiting",
        "waiting_since",
        "workers_declared",
        "workers_elsewhere",
    )

    def __init__(self, name: str, index: int, *, window_seconds: float, at: float) -> None:
        self.name = name
        self.waiting = self.in_service = self.blocked = 0
        self.blocked_upstream = 0
        """Cards blocked in other stages because this one has no room: they wait for it too."""
        self.last_unblocked_upstream = float("-inf")
        self.blamed_stage = index
        """The stage that causes what is lost here: this one, or the last in the chain of stages that block it."""
        self.saturated_seconds = 0.0
        """Total time with cards waiting and none blocked."""
        self.updated_at = at
        self.waiting_since = at
        self.last_start = self.last_finish = float("-inf")
        self.workers_declared: int | None = None
        self._worker_estimate = WorkerEstimate()
        self.workers_elsewhere: dict[int, int] = {}
        """Other stage -> how many workers shared with this one it occupies now."""
        self.runs: deque[Run] = deque(maxlen=MAX_RUNS)
        self.arrival_times: deque[float] = deque(maxlen=MAX_RUNS)
        self.idle_spans: deque[list[float]] = deque(maxlen=MAX_RUNS)
        """Begin and end of the spans in which cards waited although a worker was free."""
        self._bucket_seconds = window_seconds / BUCKETS_PER_WINDOW
        self._buckets_kept = BUCKETS_PER_WINDOW + 1
        self._past: deque[Bucket] = deque()
        self.bucket = Bucket(int(at // self._bucket_seconds))
        self._bucket_end = (self.bucket.number + 1) * self._bucket_seconds

    @property
    def workers(self) -> int:
        """How many cards it can serve at once: as declared, else as estimated."""
        return self.workers_declared or self._worker_estimate.workers or self.in_service

    @property
    def is_demanded(self) -> bool:
        """Whether cards wait for it, in its queue or blocked upstream."""
        return bool(self.waiting or self.blocked_upstream)

    def is_full(self, capacity: int) -> bool:
        """Return whether a queue of that capacity is full; a queue that is longer has another capacity."""
        return self.waiting == capacity and (capacity > 0 or self.in_service + self.blocked >= self.workers > 0)

    def correct_saturation(
        self, seconds: float, *, saturated: float, blocked: bool, has_buffer: bool, next_has_buffer: bool
    ) -> None:
        """Count a run that ends now as saturated in whole or not at all, if stages have no buffer between them.

        Without a buffer, the card that needs a stage next is still in service one stage upstream. So a run counts in
        whole if a card is blocked for the stage when it ends, and does not count if its own card is blocked then
        because the next stage has no buffer: finishing earlier would not have helped.

        ``seconds`` is the length of the run, ``saturated`` what was already counted in it. Parallel workers share it.
        """
        if blocked and not next_has_buffer:
            self.bucket.sums[SATURATED] -= saturated / max(1, self.in_service + self.blocked)
        # events of the same moment come in any order: a card let in just now was blocked until the run ended
        elif not blocked and not has_buffer and (self.is_demanded or self.last_unblocked_upstream == self.updated_at):
            self.bucket.sums[SATURATED] += max(0.0, seconds - saturated) / max(1, self.in_service + self.blocked)

    def advance(self, time: float) -> None:
        """Let time pass to ``time`` with the counts as they are."""
        if time <= self.updated_at:
            return
        while time > self._bucket_end:
            self._accumulate(self._bucket_end - self.updated_at)
            self.updated_at = self._bucket_end
            self._next_bucket(time)
        self._accumulate(time - self.updated_at)
        self.updated_at = time

    def _accumulate(self, seconds: float) -> None:
        waiting, in_service, blocked = self.waiting, self.in_service, self.blocked
        bucket = self.bucket
        sums = bucket.sums
        if in_service:
            sums[BUSY] += seconds * in_service
            self._worker_estimate.add(in_service, seconds, queued=bool(waiting and not blocked))
        if blocked:
            sums[BLOCKED] += seconds * blocked
            loss = seconds * (waiting + blocked)
            if waiting:
                sums[WAITING] += seconds * waiting
            losses = bucket.loss_by_blocker
            losses[self.blamed_stage] = losses.get(self.blamed_stage, 0.0) + loss
        elif waiting or self.blocked_upstream:
            loss = seconds * waiting
            self.saturated_seconds += seconds
            sums[SATURATED] += seconds
            sums[WAITING] += loss
            sums[LOCAL_LOSS] += loss
            if self.workers_elsewhere:
                self._count_contention(loss)
            elif in_service < self.workers:
                sums[UNAVAILABLE] += loss
                self._extend_idle_span(seconds)

    def _count_contention(self, loss: float) -> None:
        bucket = self.bucket
        bucket.sums[CONTENDED] += loss
        total = sum(self.workers_elsewhere.values())
        losses = bucket.loss_by_competitor
        for stage, workers in self.workers_elsewhere.items():
            losses[stage] = losses.get(stage, 0.0) + loss * workers / total

    def _extend_idle_span(self, seconds: float) -> None:
        spans = self.idle_spans
        if spans and spans[-1][1] >= self.updated_at:
            spans[-1][1] = self.updated_at + seconds
        else:
            spans.append([self.updated_at, self.updated_at + seconds])

    def _next_bucket(self, time: float) -> None:
        self._past.append(self.bucket)
        self._worker_estimate.update(fade=FADE)
        number = self.bucket.number + 1
        # after a long silence only the last window matters, unless cards stayed at the stage all along
        first = int(time // self._bucket_seconds) - self._buckets_kept
        if number < first and not (self.waiting or self.in_service or self.blocked):
            number = first
            self.updated_at = number * self._bucket_seconds
        self.bucket = Bucket(number)
        self._bucket_end = (number + 1) * self._bucket_seconds
        while self._past and self._past[0].number < number - self._buckets_kept:
            self._past.popleft()

    def window(self, now: float, seconds: float) -> WindowSums:
        """Return the sums of the last ``seconds`` before ``now``."""
        self.advance(now)
        self._worker_estimate.update()
        begin = now - seconds
        width = self._bucket_seconds
        buckets = [bucket for bucket in self._past if (bucket.number + 1) * width > begin]
        buckets.append(self.bucket)
        return sum_window(buckets, width=width, begin=begin, now=now)
