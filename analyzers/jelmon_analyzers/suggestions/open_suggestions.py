"""Suggestions from opening to closing: opened when a strategy fits, closed when it no longer does, measured if applied.

Pure: the clock is a parameter, and every change is returned.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from jelmon import events as e
from jelmon.events import Event, Outcome
from jelmon_analyzers.bottleneck.replay.levers import Lever
from jelmon_analyzers.suggestions.strategies import Finding, Strategy

GONE_SECONDS = 300.0
"""A suggestion is closed when its strategy has not fitted for this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A strategy that fits a finding. ``before_seconds`` and ``after_seconds``: mean time of a card in the line."""

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


class OpenSuggestions:
    """The suggestions that are open, and those that are applied and not yet measured."""

    def __init__(
        self,
        strategies: Iterable[Strategy],
        *,
        gain: Callable[[Finding, Lever, float], float | None],
        flow_time: Callable[[str, float], float | None],
        measure_after_seconds: float,
    ) -> None:
        self._strategies = tuple(strategies)
        self._gain = gain
        self._flow_time = flow_time
        self._measure_after_seconds = measure_after_seconds
        self._open: dict[tuple[str, str, str, str], Suggestion] = {}
        self._applied: list[Suggestion] = []
        self._workers: dict[tuple[str, str], int] = {}
        """Declared workers by pipeline and stage."""

    @property
    def open(self) -> tuple[Suggestion, ...]:
        """The suggestions that are open."""
        return tuple(self._open.values())

    def update(self, findings: Iterable[Finding], now: float) -> list[Suggestion]:
        """Match the current findings; returns every suggestion that was opened, closed or measured."""
        changed = []
        for finding in findings:
            for strategy in self._strategies:
                if not strategy.fits(finding):
                    continue
                key = (finding.pipeline, finding.stage, strategy.name, finding.about)
                known = self._open.get(key)
                if known is not None:
                    self._open[key] = replace(known, fitted_at=now)
                else:
                    self._open[key] = self._suggest(strategy, finding, now)
                    changed.append(self._open[key])
        for key, known in list(self._open.items()):
            if now - known.fitted_at >= GONE_SECONDS:
                changed.append(replace(known, closed_at=now))
                del self._open[key]
        return changed + self._measure(now)

    def observe(self, event: Event) -> list[Suggestion]:
        """Return the suggestions that an event reports as applied.

        A suggestion is applied when its action succeeds, or when its stage declares more workers than before.
        """
        time = event.time.timestamp()
        match event:
            case e.ActionFinished(data=done) if done.outcome is Outcome.SUCCESS:
                return self._apply(
                    time,
                    lambda suggestion: (
                        suggestion.action == done.action
                        and done.pipeline in (None, suggestion.pipeline)
                        and done.stage in (None, suggestion.stage)
                    ),
                )
            case e.PipelineDeclared(data=data):
                return [applied for part in data.stages for applied in self._declare(data.pipeline, part, time)]
        return []

    def _suggest(self, strategy: Strategy, finding: Finding, now: float) -> Suggestion:
        return Suggestion(
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

    def _declare(self, pipeline: str, declaration: e.StageDeclaration, time: float) -> list[Suggestion]:
        stage, workers = declaration.stage, declaration.workers
        if workers is None:
            return []
        before = self._workers.get((pipeline, stage))
        self._workers[pipeline, stage] = workers
        if before is None or workers <= before:
            return []
        return self._apply(
            time,
            lambda suggestion: (
                (suggestion.pipeline, suggestion.stage) == (pipeline, stage) and suggestion.action == "scale_up"
            ),
        )

    def _apply(self, time: float, is_meant: Callable[[Suggestion], bool]) -> list[Suggestion]:
        changed = []
        for key, suggestion in list(self._open.items()):
            if is_meant(suggestion):
                before = self._flow_time(suggestion.pipeline, time)
                applied = replace(suggestion, applied_at=time, before_seconds=before)
                del self._open[key]
                self._applied.append(applied)
                changed.append(applied)
        return changed

    def _measure(self, now: float) -> list[Suggestion]:
        """Close the suggestions that were applied long enough ago, with the time of a card since then."""
        measured = []
        for suggestion in list(self._applied):
            if suggestion.applied_at is not None and now - suggestion.applied_at >= self._measure_after_seconds:
                self._applied.remove(suggestion)
                after = self._flow_time(suggestion.pipeline, now)
                measured.append(replace(suggestion, closed_at=now, after_seconds=after))
        return measured
