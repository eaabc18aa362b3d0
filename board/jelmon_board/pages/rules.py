"""The page of rules: every alert, its state, its next escalation, and who would be notified now."""

import asyncio
from functools import lru_cache
from typing import Any

from aiohttp import web

from jelmon_board.collection import Collector
from jelmon_board.model.routes import Route, read_routes
from jelmon_board.model.watch import watched
from jelmon_board.pages.paging import page_of

ROWS = 100


async def rules(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the template shows."""
    await asyncio.sleep(0)
    snapshot = collector.snapshot
    search = request.query.get("q", "").strip()[:200]
    rows = watched(snapshot.rules, _routes(snapshot.routes), snapshot.alerts, snapshot.silences)
    chosen = [row for row in rows if search.lower() in row.rule.name.lower()]
    return {
        "search": search,
        "rules": page_of(chosen, request.query.get("page"), ROWS),
        "by_state": {state: sum(row.state == state for row in rows) for state in ("firing", "pending", "inactive")},
        "broken": [row for row in rows if row.rule.error],
    }


@lru_cache(maxsize=4)
def _routes(text: str) -> Route | None:
    return read_routes(text) if text else None
