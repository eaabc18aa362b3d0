"""The sentences of a report: what got slower, which stage limited, what alerts cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jelmon_board.model import lines
from jelmon_board.model.episodes import Cost, costs
from jelmon_board.model.lines import Line
from jelmon_board.model.wording import change, duration, in_unit, percent
from jelmon_board.report.gather import Material

LIMITS = 50.0
"""From this severity on a stage counts as limiting."""
_NOTABLE = 0.1
_WORSE_DOWN = (lines.VELOCITY.key,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The mean of a line in this span and in the one before."""

    line: Line
    now: float
    before: float | None

    @property
    def ratio(self) -> float | None:
        """Relative change; None without a value before."""
        return self.now / self.before - 1 if self.before else None

    @property
    def is_worse(self) -> bool:
        ratio = self.ratio or 0.0
        return abs(ratio) >= _NOTABLE and (ratio < 0) is (self.line.key in _WORSE_DOWN)

    @property
    def sentence(self) -> str:
        """Return it in words."""
        words = f"{self.line.title}: {in_unit(self.now, self.line.unit)}"
        if self.ratio is None or self.before is None:
            return f"{words} (nothing to compare with)"
        return f"{words}, {change(self.ratio)} against {in_unit(self.before, self.line.unit)} in the time before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What a report says about one pipeline."""

    name: str
    trends: tuple[Trend, ...]
    limited: tuple[tuple[str, float], ...]
    """Stages and the share of the time in which they limited the pipeline, most first."""
    slower: tuple[tuple[str, float, float], ...]
    """Stages that got slower: relative change, and run time now."""

    @property
    def headline(self) -> str:
        """Return the one sentence to read."""
        worse = [trend for trend in self.trends if trend.is_worse]
        words = []
        if self.slower:
            stage, ratio, _ = self.slower[0]
            words.append(f"{stage} takes " + (f"{change(ratio)} as long" if ratio >= 4 else f"{percent(ratio)} longer"))
        elif worse:
            words.append(worse[0].sentence)
        if self.limited:
            stage, share = self.limited[0]
            words.append(f"{stage} limited it {percent(share)} of the time")
        return "; ".join(words) or "Nothing got notably worse, and no stage limited it for long"


def sections(material: Material) -> list[Section]:
    """Return what to say about each pipeline that had cards."""
    names = {key[0] for history in material.histories.values() for key in history.values} | {
        row.name for row in material.snapshot.pipelines
    }
    return [_section(material, name) for name in sorted(names)][:50]


def alert_costs(material: Material) -> list[Cost]:
    """Return what alerts cost in the span."""
    return costs(material.episodes, now=material.ended, since=material.began)


def cost_sentence(rows: Sequence[Cost]) -> str:
    """Return what alerts cost in one sentence."""
    if not rows:
        return "No alert fired."
    total, count = sum(row.seconds for row in rows), sum(row.count for row in rows)
    escalated = sum(row.escalated for row in rows)
    words = f"{count} alerts fired for {duration(total)} in total; {rows[0].name} for {duration(rows[0].seconds)}"
    return f"{words}. {escalated} were escalated." if escalated else f"{words}."


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of the values that there are."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def _section(material: Material, name: str) -> Section:
    trends = []
    for line in (lines.VELOCITY, lines.PROCESSING, lines.FAILED):
        history = material.histories.get(line.key)
        now = mean(history.of(name)) if history else None
        if now is not None:
            trends.append(Trend(line=line, now=now, before=material.before.get(line.key, {}).get((name,))))
    severity = material.histories.get(lines.STAGE_SEVERITY.key)
    limited: dict[str, float] = {}
    if severity:
        for key, values in severity.values.items():
            known = [value for value in values if not math.isnan(value)]
            share = sum(value >= LIMITS for value in known) / len(known) if known else 0.0
            if key[0] == name and share >= 0.01:
                limited[key[1]] = share
    runs = material.histories.get(lines.STAGE_RUN.key)
    slower = []
    for key, before in material.before.get(lines.STAGE_RUN.key, {}).items():
        now = mean(runs.of(*key)) if runs and key[0] == name else None
        if now is not None and before > 0 and now / before - 1 >= _NOTABLE:
            slower.append((key[1], now / before - 1, now))
    return Section(
        name=name,
        trends=tuple(trends),
        limited=tuple(sorted(limited.items(), key=lambda row: -row[1])),
        slower=tuple(sorted(slower, key=lambda row: -row[1])),
    )
