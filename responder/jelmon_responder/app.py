"""The responder put together: HTTP server, history, and what runs beside it."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

from aiohttp import web

from jelmon import __version__
from jelmon.bundle.timeline import Timeline
from jelmon.catalogue import RESPONDER_INFO, RESPONDER_WEB_CONFIG_RELOADED, Service
from jelmon.errors import ConfigError, JelmonError
from jelmon.service.lifecycle import BackgroundTasks, every
from jelmon.service.registry import Instruments
from jelmon.service.web import Accounts, Check, Link, Server, WebConfig, landing_page
from jelmon.service.web.metrics import metrics_handler
from jelmon_responder.actions.publisher import ActionPublisher
from jelmon_responder.alertmanager import Alertmanager
from jelmon_responder.compiled_rules import CompiledRules
from jelmon_responder.history.open import open_history
from jelmon_responder.http.handlers import WEBHOOK_PATH, Handlers
from jelmon_responder.http.refused_mail import RefusedMailHandlers
from jelmon_responder.http.webhook import MAX_PAYLOAD_BYTES
from jelmon_responder.mail.mailer import Mailer
from jelmon_responder.recorder import AlertRecorder
from jelmon_responder.settings import ResponderSettings
from jelmon_responder.silences import SilenceGauges

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 10.0


class Responder:
    """The service, as production and tests start it."""

    def __init__(self, settings: ResponderSettings) -> None:
        self._settings = settings
        self._instruments = Instruments(Service.RESPONDER)
        self._history = open_history(settings.history_url)
        self._publisher = (
            ActionPublisher(settings.nats, self._history, self._instruments)
            if settings.nats is not None and settings.publishes_actions
            else None
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
        config = WebConfig.load(settings.web_config) if settings.web_config else None
        accounts = Accounts(WEBHOOK_PATH, frozenset(settings.webhook_users))
        if unknown := accounts.unknown(config.users if config else ()):
            raise ConfigError(
                f"--web.webhook-users: {unknown[0]!r} is not a user of --web.config.file",
                hint="add it to basic_auth_users",
            )
        self.server = Server(
            "responder",
            checks=self._checks,
            config=config,
            accounts=accounts,
            writable=f"POST {WEBHOOK_PATH}",
            require=_authentication if settings.publishes_actions else None,
            max_body=MAX_PAYLOAD_BYTES,
            on_reload=lambda good: self._instruments.set(RESPONDER_WEB_CONFIG_RELOADED, good),
        )
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
            web.get("/metrics", metrics_handler(self._instruments)),
            *Handlers(self._recorder, self._alertmanager, self._instruments).routes(),
            *RefusedMailHandlers(self._history, self._mailer.wake if self._mailer else lambda: None).routes(),
        ]


def _authentication(config: WebConfig) -> None:
    if not config.authenticates:
        raise ConfigError(
            "actions are enabled (--nats.url, --actions.allowed), but any client of the webhook can request them",
            hint="let only authenticated callers in: basic_auth_users or client_auth_type: RequireAndVerifyClientCert "
            "in --web.config.file; or disable actions: --actions.allowed ''",
        )
