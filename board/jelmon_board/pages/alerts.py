"""The page of alerts: what fires, what is silenced, and the history."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from jelmon_board.charts.heat_map import Bar, timeline
from jelmon_board.collection import Collector
from jelmon_board.model.alerts import SEVERITIES, Alert
from jelmon_board.model.episodes import Episode, costs
from jelmon_board.model.wording import duration
from jelmon_board.pages.paging import page_of

ROWS = 50
_DAY = 86400.0
_BARS, _TIMELINE_ROWS = 60, 20
_TONES = {"critical": "bad", "warning": "warn"}


async def alerts(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the template shows."""
    await asyncio.sleep(0)
    snapshot = collector.snapshot
    search = request.query.get("q", "").strip()[:200]
    severity = request.query.get("severity", "")
    quiet = request.query.get("show", "") == "quiet"
    rows = [
        alert
        for alert in snapshot.alerts
        if alert.is_quiet is quiet and severity in ("", alert.severity) and _fits(alert, search.lower())
    ]
    past = [episode for episode in snapshot.episodes if not episode.level and episode.name != "Watchdog"]
    return {
        "search": search,
        "severity": severity,
        "severities": SEVERITIES,
        "quiet": quiet,
        "firing": page_of(rows, request.query.get("page"), ROWS),
        "silences": sorted(snapshot.silences, key=lambda silence: silence.ends)[:100],
        "past": page_of(past, request.query.get("past"), ROWS),
        "timeline": _timeline(past, snapshot.taken),
        "costs": costs(snapshot.episodes, now=snapshot.taken, since=snapshot.taken - _DAY)[:15],
    }


def _fits(alert: Alert, search: str) -> bool:
    return not search or any(search in value.lower() for value in alert.labels.values())


def _timeline(past: Iterable[Episode], now: float) -> Any:
    rows: dict[str, list[Episode]] = defaultdict(list)
    for episode in past:
        if episode.end(now) > now - _DAY:
            rows[episode.name].append(episode)
    if not rows:
        return ""
    order = sorted(rows, key=lambda name: (SEVERITIES.index(_known(rows[name][0].severity)), name))[:_TIMELINE_ROWS]
    return timeline([(name, [_bar(episode, now) for episode in rows[name][:_BARS]]) for name in order], seconds=_DAY)


def _bar(episode: Episode, now: float) -> Bar:
    start, end = (max(0.0, min(1.0, 1 - (now - at) / _DAY)) for at in (episode.starts, episode.end(now)))
    where = " / ".join(filter(None, (episode.pipeline, episode.stage)))
    words = f"{episode.name} {where}: {duration(episode.end(now) - episode.starts)}"
    return Bar(
        start, end, _TONES.get(episode.severity, "idle"), words + (", still firing" if episode.is_firing else "")
    )


def _known(severity: str) -> str:
    return severity if severity in SEVERITIES else "none"
