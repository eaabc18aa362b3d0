"""The responder put together: HTTP server, history, and what runs beside it."""

import asyncio
import contextlib
import html
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from jelmon import __version__
from jelmon.bundle.timeline import Timeline
from jelmon.catalogue import ALERT_SEVERITIES, RESPONDER_INFO, WEBHOOK_SUCCESS, WEBHOOKS, Service
from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError, JelmonError
from jelmon.service.lifecycle import BackgroundTasks, every
from jelmon.service.registry import Instruments
from jelmon.service.web import Check, Link, Server, WebConfig, landing_page, page
from jelmon.service.web.metrics import metrics_handler
from jelmon_responder.actions.publisher import ActionPublisher
from jelmon_responder.alertmanager import Alertmanager
from jelmon_responder.compiled_rules import CompiledRules
from jelmon_responder.history.open import open_history
from jelmon_responder.http import views
from jelmon_responder.http.test_alert import run_test_alert
from jelmon_responder.http.webhook import MAX_PAYLOAD_BYTES, WebhookError, parse, too_large
from jelmon_responder.mail.mailer import Mailer
from jelmon_responder.recorder import AlertRecorder
from jelmon_responder.settings import ResponderSettings
from jelmon_responder.silences import SilenceGauges

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5
MAX_TEST_SECONDS = 600.0
_encode = msgspec.json.Encoder().encode


class Responder:
    """The service, as production and tests start it."""

    def __init__(self, settings: ResponderSettings) -> None:
        self._settings = settings
        self._instruments = Instruments(Service.RESPONDER)
        self._history = open_history(settings.history_url)
        self._publisher = (
            ActionPublisher(settings.nats, self._history, self._instruments) if settings.nats is not None else None
        )
        self._mailer = Mailer(settings.mail, self._history, self._instruments) if settings.mail else None
        self._rules = CompiledRules(settings.rules_file, self._instruments) if settings.rules_file else None
        self._recorder = AlertRecorder(
            self._history,
            self._instruments,
            timeline=lambda: self._rules.timeline if self._rules else Timeline(),
            allowed_actions=settings.allowed_actions,
            can_publish=self._publisher is not None,
            on_actions=self._publisher.wake if self._publisher else lambda: None,
            mailed_severities=settings.mail.severities if settings.mail else (),
            on_notifications=self._mailer.wake if self._mailer else lambda: None,
        )
        self._alertmanager = Alertmanager(settings.alertmanager_urls) if settings.alertmanager_urls else None
        self._silences = SilenceGauges(self._instruments)
        self._alertmanager_check = Check(True, "not polled yet", needed=False)
        self._test_running = asyncio.Lock()
        config = WebConfig.load(settings.web_config) if settings.web_config else None
        self.server = Server("responder", checks=self._checks, config=config, max_body=MAX_PAYLOAD_BYTES)
        self.server.app.add_routes(self._routes())
        self.background = BackgroundTasks()
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Open the history and listen.

        Raises:
            ConfigError: a setting can never work.
        """
        self._instruments.set(RESPONDER_INFO, 1, version=__version__, history=self._history.kind)
        await self._recorder.start()
        self._stack.push_async_callback(self._recorder.stop)
        try:
            start = self.background.start
            start(every(REFRESH_SECONDS, self._refresh, suppress=(JelmonError,)), name="refresh")
            if self._alertmanager is not None:
                await self._stack.enter_async_context(self._alertmanager)
                start(every(self._settings.poll_seconds, self.reconcile, suppress=(JelmonError,)), name="Alertmanager")
            if self._publisher is not None:
                start(self._publisher.run(), name="actions")
            if self._mailer is not None:
                start(self._mailer.run(), name="mail")
            await self.server.start(self._settings.listen)
        except BaseException:
            await self.stop()
            raise
        logger.info("responder listens", extra={"url": self.server.url, "history": self._history.kind})

    async def stop(self) -> None:
        """Stop listening, then close the history. No task and no thread is left."""
        await self.server.stop()
        try:
            await self.background.stop()
        finally:
            await self._stack.aclose()

    async def _refresh(self) -> None:
        if self._rules is not None:
            await asyncio.to_thread(self._rules.refresh, datetime.now(UTC))
        await self._recorder.refresh()

    async def reconcile(self) -> None:
        """Compare the history with the alerts in Alertmanager: close the rows of alerts that it no longer has.

        Raises:
            JelmonError: Alertmanager or the history is unavailable.
        """
        assert self._alertmanager is not None
        polled_at = datetime.now(UTC)
        try:
            age = polled_at - await self._alertmanager.started_at()
            active = await self._alertmanager.active()
            self._silences.show(await self._alertmanager.silence_ends())
        except JelmonError as error:
            if self._alertmanager_check.detail != "does not respond":
                logger.warning("Alertmanager does not respond", extra={"error": error.message})
            self._alertmanager_check = Check(False, "does not respond", needed=False)
            raise
        self._alertmanager_check = Check(True, f"{len(active)} alerts", needed=False)
        if age >= timedelta(seconds=self._settings.settle_seconds):
            await self._recorder.reconcile(active, polled_at=polled_at)

    def _checks(self) -> dict[str, Check]:
        checks = {"history": self._recorder.check}
        if self._alertmanager is not None:
            checks["alertmanager"] = self._alertmanager_check
        if self._rules is not None:
            checks["rules"] = self._rules.check
        if self._publisher is not None:
            checks["nats"] = self._publisher.check
        if self._mailer is not None:
            checks["email"] = self._mailer.check
        return checks

    def _routes(self) -> list[web.RouteDef]:
        links = [
            Link("/alerts", "Alert history"),
            Link("/api/v1/alerts", "Alert history as JSON"),
            Link("/metrics", "Metrics"),
            Link("/health", "Health"),
        ]
        return [
            web.get("/", landing_page("jelmon responder", links, self._checks, lambda: "")),
            web.get("/alerts", self._alerts_page),
            web.get("/metrics", metrics_handler(self._instruments)),
            web.get("/api/v1/alerts", self._alerts),
            web.post("/api/v1/alerts/webhook", self._webhook),
            web.post("/api/v1/alerts/test", self._test),
        ]

    async def _webhook(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        try:
            delivery = parse(await request.read(), now=now)
        except web.HTTPRequestEntityTooLarge:
            return self._refused(too_large(f"the webhook payload exceeds {MAX_PAYLOAD_BYTES} bytes"), 413)
        except web.RequestPayloadError as error:  # truncated, or not in its Content-Encoding
            request.content.feed_eof()  # otherwise aiohttp reads on and logs a traceback
            response = self._refused(WebhookError(f"cannot read the body: {error}", hint="send all of it"), 400)
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
            return _unavailable(error)
        self._instruments.inc(WEBHOOKS, outcome="accepted")
        self._instruments.set(WEBHOOK_SUCCESS, now.timestamp())
        return _json({"accepted": len(delivery.alerts)})

    def _refused(self, error: WebhookError, status: int) -> web.Response:
        self._instruments.inc(WEBHOOKS, outcome="rejected")
        logger.warning("webhook rejected", extra={"error": error.message})
        return _problem(error, status)

    async def _alerts(self, request: web.Request) -> web.Response:
        try:
            query = views.read_query(_parameters(request), now=datetime.now(UTC))
            episodes = await self._recorder.read(query)
        except views.QueryError as error:
            return _problem(error, 400)
        except JelmonError as error:
            return _unavailable(error)
        return _json({"alerts": views.as_json(episodes)})

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
            severity, seconds = _test_alert_parameters(_parameters(request))
            if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
                raise views.QueryError("test alerts cannot be sent from another site's pages")
        except JelmonError as error:
            return _problem(error, 400)
        if self._alertmanager is None:
            missing = ConfigError(
                "no Alertmanager to send the test alert to", hint="start the responder with --alertmanager.url"
            )
            return _problem(missing, 501)
        if self._test_running.locked():
            return _problem(ConfigError("another test alert is in progress", hint="wait until it has finished"), 409)
        async with self._test_running:
            report = await run_test_alert(
                self._alertmanager, self._recorder, severity=severity, timeout_seconds=seconds, clock=time.monotonic
            )
        return _json({"ok": report.ok, "drill_id": report.drill_id, "steps": report.steps}, 200 if report.ok else 504)


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


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type="application/json")


def _problem(error: JelmonError, status: int) -> web.Response:
    return _json({"error": error.message, "hint": error.hint}, status)


def _unavailable(error: JelmonError) -> web.Response:
    response = _problem(error, 503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
