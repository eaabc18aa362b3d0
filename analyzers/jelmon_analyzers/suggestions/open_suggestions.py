"""The suggestions that stand: opened when a strategy fits, closed when it no longer does, and what came of them.

Pure: the clock is a parameter, and what changed is handed to whoever keeps it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from jelmon import events as e
from jelmon.events import Event, Outcome
from jelmon_analyzers.bottleneck.replay.levers import Lever
from jelmon_analyzers.suggestions.strategies import Finding, Strategy

GONE_SECONDS = 300.0
"""A suggestion is closed when its strategy has not fitted for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One piece of advice. ``before`` and ``after`` are the card's mean time in the line around its application."""

    pipeline: str
    stage: str
    strategy: str
    advice: str
    action: str | None
    opened_at: float
    expected_seconds: float | None
    severity: float | None
    fitted_at: float
    about: str = ""
    """The signal that got worse, or the driver of slow cards."""
    closed_at: float | None = None
    applied_at: float | None = None
    before_seconds: float | None = None
    after_seconds: float | None = None

    @property
    def id(self) -> str:
        about = f"/{self.about}" if self.about else ""
        return f"{self.pipeline}/{self.stage}/{self.strategy}{about}/{self.opened_at:.0f}"


class Book:
    """All suggestions that are open, or applied and not yet measured."""

    def __init__(
        self,
        strategies: Iterable[Strategy],
        *,
        gain: Callable[[Finding, Lever, float], float | None],
        flow_time: Callable[[str, float], float | None],
        settle_seconds: float,
    ) -> None:
        self._strategies = tuple(strategies)
        self._gain = gain
        self._flow_time = flow_time
        self._settle_seconds = settle_seconds
        self._open: dict[tuple[str, str, str, str], Suggestion] = {}
        self._settling: list[Suggestion] = []
        self._workers: dict[tuple[str, str], int] = {}

    @property
    def open(self) -> tuple[Suggestion, ...]:
        """The suggestions that stand."""
        return tuple(self._open.values())

    def update(self, findings: Iterable[Finding], now: float) -> list[Suggestion]:
        """Take the findings of a cycle; returns every suggestion that was opened, closed or measured with them."""
        changed = []
        for finding in findings:
            for strategy in self._strategies:
                if not strategy.fits(finding):
                    continue
                key = (finding.pipeline, finding.stage, strategy.name, finding.about)
                known = self._open.get(key)
                if known is not None:
                    self._open[key] = replace(known, fitted_at=now)
                    continue
                opened = Suggestion(
                    pipeline=finding.pipeline,
                    stage=finding.stage,
                    about=finding.about,
                    strategy=strategy.name,
                    advice=strategy.advise(finding),
                    action=strategy.action,
                    opened_at=now,
                    expected_seconds=self._gain(finding, strategy.expects, now) if strategy.expects else None,
                    severity=finding.figures.get("severity"),
                    fitted_at=now,
                )
                self._open[key] = opened
                changed.append(opened)
        for key, known in list(self._open.items()):
            if now - known.fitted_at >= GONE_SECONDS:
                changed.append(replace(known, closed_at=now))
                del self._open[key]
        changed += self._measure(now)
        return changed

    def observe(self, event: Event) -> list[Suggestion]:
        """Notice that a suggestion was applied: its action was carried out, or its stage declares more workers."""
        time = event.time.timestamp()
        match event:
            case e.ActionFinished(data=done) if done.outcome is Outcome.SUCCESS:
                return self._apply(
                    time,
                    lambda one: (
                        one.action == done.action
                        and done.pipeline in (None, one.pipeline)
                        and done.stage in (None, one.stage)
                    ),
                )
            case e.PipelineDeclared(data=data):
                applied: list[Suggestion] = []
                for part in data.stages:
                    if part.workers is None:
                        continue
                    before = self._workers.get((data.pipeline, part.stage))
                    self._workers[data.pipeline, part.stage] = part.workers
                    if before is not None and part.workers > before:
                        applied += self._apply(
                            time,
                            lambda one, stage=part.stage: (  # type: ignore[misc]
                                (one.pipeline, one.stage) == (data.pipeline, stage) and one.action == "scale_up"
                            ),
                        )
                return applied
        return []

    def _apply(self, time: float, meant: Callable[[Suggestion], bool]) -> list[Suggestion]:
        changed = []
        for key, one in list(self._open.items()):
            if meant(one):
                applied = replace(one, applied_at=time, before_seconds=self._flow_time(one.pipeline, time))
                del self._open[key]
                self._settling.append(applied)
                changed.append(applied)
        return changed

    def _measure(self, now: float) -> list[Suggestion]:
        """What came of suggestions that were applied a window ago."""
        measured = []
        for one in list(self._settling):
            if one.applied_at is not None and now - one.applied_at >= self._settle_seconds:
                self._settling.remove(one)
                measured.append(replace(one, closed_at=now, after_seconds=self._flow_time(one.pipeline, now)))
        return measured
