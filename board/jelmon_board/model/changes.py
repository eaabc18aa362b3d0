"""What changed: the regression analyzer's verdicts as sentences."""

from dataclasses import dataclass

from jelmon import catalogue as c
from jelmon_board.model.samples import Samples

YOUNG_CHANGE = 0.5
"""A series without a baseline must seem to change by half, to be worth a line."""
_TITLES = {
    "avg_processing_time_seconds": "processing time of cards",
    "card_wait_seconds": "waiting time of cards",
    "stage_run_seconds": "run time",
    "stage_queue_seconds": "queue time",
    "test_seconds": "duration of tests",
    "card_failure_ratio": "share of failed cards",
    "test_failure_ratio": "share of failed tests",
    "cards_per_hour": "cards per hour",
}
_BETTER_UP = ("cards_per_hour",)
_LABELS = ("signal", "pipeline", "stage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the level of a signal. Ratios: 0.1 is 10 % higher."""

    signal: str
    pipeline: str
    stage: str
    ratio: float
    lower: float | None
    upper: float | None
    since: float | None
    is_sure: bool
    """There is a baseline, and the interval excludes 0."""
    is_severe: bool

    @property
    def what(self) -> str:
        title = _TITLES.get(self.signal, self.signal.replace("_", " "))
        return f"{title} of {self.stage}" if self.stage else title

    @property
    def is_worse(self) -> bool:
        return (self.ratio > 0) is (self.signal not in _BETTER_UP)


def changes(samples: Samples) -> list[Change]:
    """Return the changes worth a line: sure ones first, run times before queue times, which follow from them."""
    lower, upper = (samples.by(m, *_LABELS) for m in (c.REGRESSION_CHANGE_LOWER, c.REGRESSION_CHANGE_UPPER))
    ready, since = samples.by(c.REGRESSION_BASELINE_READY, *_LABELS), samples.by(c.REGRESSION_CHANGE_POINT, *_LABELS)
    severe = samples.by(c.REGRESSION_SEVERE, *_LABELS)
    found = []
    for key, ratio in samples.by(c.REGRESSION_CHANGE, *_LABELS).items():
        signal, pipeline, stage = key
        is_ready = bool(ready.get(key))
        is_sure = is_ready and (lower.get(key, 0.0) > 0 or upper.get(key, 0.0) < 0)
        if is_sure or (not is_ready and abs(ratio) >= YOUNG_CHANGE):
            found.append(
                Change(
                    signal=signal,
                    pipeline=pipeline,
                    stage=stage,
                    ratio=ratio,
                    lower=lower.get(key),
                    upper=upper.get(key),
                    since=since.get(key),
                    is_sure=is_sure,
                    is_severe=bool(severe.get(key)),
                )
            )
    return sorted(found, key=lambda row: (not row.is_sure, row.signal != "stage_run_seconds", -abs(row.ratio)))
