"""Handlers of the responder's routes: they read a request, call the service, and word the answer."""

import asyncio
import html
import logging
import time
from datetime import UTC, datetime

from aiohttp import web

from jelmon.catalogue import ALERT_SEVERITIES, WEBHOOK_SUCCESS, WEBHOOKS
from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError, JelmonError
from jelmon.service.registry import Instruments
from jelmon.service.web import BodyError, CrossSiteError, page, read_body, refuse_cross_site
from jelmon_responder.alertmanager import Alertmanager
from jelmon_responder.http import views
from jelmon_responder.http.responses import json, problem, unavailable
from jelmon_responder.http.test_alert import run_test_alert
from jelmon_responder.http.webhook import WebhookError, parse
from jelmon_responder.recorder import AlertRecorder

logger = logging.getLogger(__name__)

WEBHOOK_PATH = "/api/v1/alerts/webhook"
MAX_TEST_SECONDS = 600.0


class Handlers:
    """The webhook, the alert history and test alerts."""

    def __init__(self, recorder: AlertRecorder, alertmanager: Alertmanager | None, instruments: Instruments) -> None:
        self._recorder = recorder
        self._alertmanager = alertmanager
        self._instruments = instruments
        self._test_running = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/alerts", self._alerts_page),
            web.get("/api/v1/alerts", self._alerts),
            web.post(WEBHOOK_PATH, self._webhook),
            web.post("/api/v1/alerts/test", self._test),
        ]

    async def _webhook(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        try:
            refuse_cross_site(request)
            if request.content_type != "application/json":  # a form or a script of another site may send text/plain
                return self._refused(
                    WebhookError(
                        f"Content-Type {request.content_type!r} is not supported", hint="send application/json"
                    ),
                    415,
                )
            delivery = parse(await read_body(request), now=now)
        except CrossSiteError as error:
            return self._refused(error, 403)
        except BodyError as error:
            response = self._refused(
                WebhookError(f"cannot read the body: {error.message}", hint=error.hint), error.status
            )
            response.force_close()
            return response
        except WebhookError as error:
            return self._refused(error, 400)
        if delivery.truncated:
            logger.warning("webhook truncated by Alertmanager", extra={"truncated": delivery.truncated})
        try:
            await self._recorder.deliver(delivery, now=now)
        except JelmonError as error:
            # Alertmanager retries after a 5xx
            self._instruments.inc(WEBHOOKS, outcome="failed")
            return unavailable(error)
        self._instruments.inc(WEBHOOKS, outcome="accepted")
        self._instruments.set(WEBHOOK_SUCCESS, now.timestamp())
        return json({"accepted": len(delivery.alerts)})

    def _refused(self, error: JelmonError, status: int) -> web.Response:
        self._instruments.inc(WEBHOOKS, outcome="rejected")
        logger.warning("webhook rejected", extra={"error": error.message})
        return problem(error, status)

    async def _alerts(self, request: web.Request) -> web.Response:
        try:
            query = views.read_query(_parameters(request), now=datetime.now(UTC))
            episodes = await self._recorder.read(query)
        except views.QueryError as error:
            return problem(error, 400)
        except JelmonError as error:
            return unavailable(error)
        return json({"alerts": views.as_json(episodes)})

    async def _alerts_page(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        try:
            episodes = await self._recorder.read(views.read_query(_parameters(request), now=now))
        except JelmonError as error:
            response = page("Alert history", f"<pre>{html.escape(str(error))}</pre>")
            response.set_status(400 if isinstance(error, views.QueryError) else 503)
            return response
        return page("Alert history", views.as_html(episodes, now=now))

    async def _test(self, request: web.Request) -> web.Response:
        try:
            refuse_cross_site(request)
            severity, seconds = _test_alert_parameters(_parameters(request))
        except CrossSiteError as error:
            return problem(error, 403)
        except JelmonError as error:
            return problem(error, 400)
        if self._alertmanager is None:
            missing = ConfigError(
                "no Alertmanager to send the test alert to", hint="start the responder with --alertmanager.url"
            )
            return problem(missing, 501)
        if self._test_running.locked():
            return problem(ConfigError("another test alert is in progress", hint="wait until it has finished"), 409)
        async with self._test_running:
            report = await run_test_alert(
                self._alertmanager, self._recorder, severity=severity, timeout_seconds=seconds, clock=time.monotonic
            )
        return json({"ok": report.ok, "drill_id": report.drill_id, "steps": report.steps}, 200 if report.ok else 504)


def _test_alert_parameters(parameters: dict[str, str]) -> tuple[str, float]:
    unknown = sorted(parameters.keys() - {"severity", "timeout"})
    if unknown:
        raise views.QueryError(f"unknown parameter {unknown[0]!r}", hint="one of severity, timeout")
    severity = parameters.get("severity", "info")
    if severity not in ALERT_SEVERITIES:
        raise views.QueryError(f"unknown severity {severity!r}", hint=f"one of {', '.join(ALERT_SEVERITIES)}")
    seconds = parse_duration(parameters.get("timeout", "60s"), name="timeout")
    if not 0 < seconds <= MAX_TEST_SECONDS:
        raise views.QueryError(f"timeout must be more than 0 and at most {MAX_TEST_SECONDS:g}s")
    return severity, seconds


def _parameters(request: web.Request) -> dict[str, str]:
    return dict(request.query.items())
