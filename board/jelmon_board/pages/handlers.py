"""The routes of the board: pages, live updates, and the files that pages load."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from jelmon import catalogue as c
from jelmon.service.registry import Instruments
from jelmon.service.web import Handler
from jelmon_board.collection import Collector
from jelmon_board.pages.actions import DONE, PATH, Actions, user_of
from jelmon_board.pages.alerts import alerts
from jelmon_board.pages.bottlenecks import bottlenecks
from jelmon_board.pages.pipeline import pipeline, stage
from jelmon_board.pages.quality import quality
from jelmon_board.pages.rendering import HEADERS, Templates, static_file
from jelmon_board.pages.rules import rules
from jelmon_board.pages.start import ROWS, start
from jelmon_board.sources.alertmanager import silence_link
from jelmon_board.sources.responder import TestReport

View = Callable[[Collector, web.Request], Awaitable[dict[str, Any]]]
MOST_VIEWERS = 200
_BEAT_SECONDS = 15.0
_TYPES = {"board.css": "text/css", "board.js": "text/javascript", "icon.svg": "image/svg+xml"}
_PAGES: dict[str, tuple[str, str, View]] = {  # path -> title, template, view
    "/": ("Now", "start.html", start),
    "/pipeline": ("Pipeline", "pipeline.html", pipeline),
    "/stage": ("Stage", "stage.html", stage),
    "/quality": ("Quality", "quality.html", quality),
    "/bottlenecks": ("Bottlenecks", "bottlenecks.html", bottlenecks),
    "/alerts": ("Alerts", "alerts.html", alerts),
    "/rules": ("Rules", "rules.html", rules),
}


class Pages:
    """Renders each page from what the collector knows."""

    def __init__(
        self, collector: Collector, instruments: Instruments, *, alertmanager_link: str, enable_actions: bool
    ) -> None:
        self._alertmanager_link = alertmanager_link
        self._collector = collector
        self._instruments = instruments
        self._templates = Templates()
        self._files = {name: static_file(name) for name in _TYPES}
        self._mark = hashlib.sha256(b"".join(self._files.values())).hexdigest()[:10]
        self._viewers = 0
        self._closing = asyncio.Event()
        self.actions = Actions(collector, instruments, self._message) if enable_actions else None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            *(web.get(path, self._page(path)) for path in _PAGES),
            *([web.post(PATH, self.actions.handle)] if self.actions else []),
            web.get("/live", self._live),
            web.get("/static/{name}", self._static),
            web.get("/favicon.ico", self._static_icon),
        ]

    def close(self) -> None:
        """End the live updates, so that the server can stop."""
        self._closing.set()

    def base(self, request: web.Request | None, path: str, title: str) -> dict[str, Any]:
        """Return what every page shows."""
        snapshot = self._collector.snapshot
        return {
            "path": path,
            "here": request.path_qs if request else "/",
            "pages": _PAGES,
            "csrf": self.actions.token if self.actions else "",
            "user": user_of(request) if request else "",
            "done": DONE.get(request.query.get("done", ""), "") if request else "",
            "report": None,
            "page_size": ROWS,
            "silence_link": lambda alert: silence_link(self._alertmanager_link, alert),
            "title": title,
            "mark": self._mark,
            "snapshot": snapshot,
            "sources": sorted(snapshot.sources.values(), key=lambda state: (state.ok, state.name)),
            "missing": {state.name: state for state in snapshot.sources.values() if not state.ok},
        }

    def _page(self, path: str) -> Handler:
        title, template, view = _PAGES[path]

        async def handle(request: web.Request) -> web.StreamResponse:
            began = time.monotonic()
            context, status = self.base(request, path, title), 200
            try:
                context |= await view(self._collector, request)
                text = self._templates.text(template, context)
            except web.HTTPNotFound as error:
                status = 404
                text = self._templates.text("message.html", {**context, "title": "Not found", "text": error.text})
            response = web.Response(text=text, content_type="text/html", status=status, headers=HEADERS)
            response.enable_compression()
            self._instruments.observe(c.BOARD_PAGES, time.monotonic() - began, page=template.removesuffix(".html"))
            return response

        return handle

    def _message(self, title: str, words: str, status: int, report: TestReport | None) -> web.Response:
        context = {**self.base(None, "", title), "title": title, "text": words, "report": report}
        text = self._templates.text("message.html", context)
        return web.Response(text=text, content_type="text/html", status=status, headers=HEADERS)

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        headers = {**HEADERS, "Cache-Control": "public, max-age=86400"}
        response = web.Response(body=self._files[name], content_type=_TYPES[name], charset="utf-8", headers=headers)
        response.enable_compression()
        return response

    async def _static_icon(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/static/icon.svg")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """Send an event after each reading of the sources; the page then fetches what it shows."""
        if self._viewers >= MOST_VIEWERS:
            return web.Response(status=503, text="too many open pages\n", headers={"Retry-After": "30"})
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        self._viewers += 1
        self._instruments.set(c.BOARD_VIEWERS, self._viewers)
        try:
            await response.write(b"retry: 5000\n\n")
            while not self._closing.is_set():
                changed = self._collector.changed
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _BEAT_SECONDS)
                name = "tick" if changed.is_set() else "beat"
                await response.write(f"event: {name}\ndata: {self._collector.snapshot.taken:.0f}\n\n".encode())
        except ConnectionError:
            pass
        finally:
            self._viewers -= 1
            self._instruments.set(c.BOARD_VIEWERS, self._viewers)
        return response
