"""The start page: what is wrong, where, since when, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from jelmon_board.charts.line_chart import sparkline
from jelmon_board.collection import Collector, Snapshot
from jelmon_board.model import lines
from jelmon_board.model.alerts import counts
from jelmon_board.model.lines import DAY, HOUR, SPARK, History
from jelmon_board.pages.paging import page_of
from jelmon_board.pages.plots import histories, plot

DETAILED = 3
"""So many pipelines get charts; the others a row."""
ROWS = 50
ALERTS = 5
_SHOWN = tuple((line, span) for line in (lines.IDLE_AGE, lines.VELOCITY, lines.PROCESSING) for span in (HOUR, DAY))


async def start(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the template shows."""
    snapshot = collector.snapshot
    search = request.query.get("q", "").strip()[:200]
    chosen = [row for row in snapshot.pipelines if search.lower() in row.name.lower()]
    detailed, others = chosen[:DETAILED], chosen[DETAILED:]
    wishes = [*_SHOWN, *([(lines.VELOCITY, SPARK)] if others else [])]
    names = [row.name for row in detailed]
    found = await histories(collector, _SHOWN, names) if detailed else {}
    page = page_of(others, request.query.get("page"), ROWS)
    sparks: dict[str, Any] = {}
    if page.rows:
        wish = wishes[-1]
        history = (await histories(collector, [wish], [row.name for row in page.rows]))[wish]
        if isinstance(history, History):
            sparks = {row.name: sparkline(history.of(row.name), title="cards per hour", unit="/h") for row in page.rows}
    loud = [alert for alert in snapshot.alerts if not alert.is_quiet]
    return {
        "headline": headline(snapshot),
        "search": search,
        "detailed": [
            (row, [plot(collector, wish, history, (row.name,)) for wish, history in found.items()]) for row in detailed
        ],
        "others": page,
        "sparks": sparks,
        "alerts": loud[:ALERTS],
        "loud": len(loud),
        "quiet": sum(alert.is_quiet and alert.name != "Watchdog" for alert in snapshot.alerts),
    }


def headline(snapshot: Snapshot) -> tuple[str, str]:
    """Return the tone and the sentence that says whether anything is wrong."""
    if not snapshot.taken:
        return "idle", "Reading the sources for the first time …"
    total = len(snapshot.pipelines)
    if not total:
        exporter = snapshot.sources.get("exporter")
        if exporter is not None and not exporter.ok:
            return "warn", "The exporter does not answer, so nothing is known about pipelines."
        return "idle", "No pipeline has sent events yet."
    by_state: dict[str, list[str]] = {}
    for row in snapshot.pipelines:
        by_state.setdefault(row.state, []).append(row.name)
    numbers = counts(snapshot.alerts)
    words = [*_states_in_words(by_state, total), *_alerts_in_words(snapshot, numbers)]
    if words:
        is_bad = bool(numbers["critical"] or {"stalled", "alert", "limited"} & by_state.keys())
        sentence = "; ".join(words) + "."
        return "bad" if is_bad else "warn", sentence[0].upper() + sentence[1:]
    moving = len(by_state.get("moving", ()))
    if any(not state.ok for state in snapshot.sources.values()):
        return "idle", f"No trouble is known, but not every source answers. {moving} of {total} pipelines move cards."
    if moving:
        who = "the pipeline moves" if total == 1 else f"{moving} of {total} pipelines move"
        return "good", f"All is well: {who} cards."
    return "good", "All is well: no card is waiting or in progress."


def _states_in_words(by_state: Mapping[str, Sequence[str]], total: int) -> list[str]:
    words = []
    for state, verb in (("stalled", "stalled"), ("alert", "in trouble"), ("limited", "held up by one stage")):
        names = by_state.get(state, ())
        if len(names) == 1:
            words.append(f"pipeline {names[0]} is {verb}")
        elif names:
            words.append(f"{len(names)} of {total} pipelines are {verb}")
    return words


def _alerts_in_words(snapshot: Snapshot, numbers: Mapping[str, int]) -> list[str]:
    count = numbers["critical"] + numbers["warning"]
    if not count:
        return []
    kinds = [f"{numbers[name]} {name}" for name in ("critical", "warning") if numbers[name]]
    words = f"{' and '.join(kinds)} alert{'' if count == 1 else 's'}"
    acknowledged = sum(not alert.is_quiet and alert.acknowledgement is not None for alert in snapshot.alerts)
    return [f"{words}, {acknowledged} acknowledged" if acknowledged else words]
