"""What readers may change with ``--enable-actions``: silences, acknowledgements, test alerts.

A page of another site must not be able to do any of it in a reader's name: every form has a token that only pages of
this process have, browsers say where a request comes from, and without a login the request must be addressed to this
machine itself, so that no name that somebody else controls leads here.
"""

import base64
import binascii
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from jelmon.catalogue import BOARD_ACTIONS
from jelmon.config.settings import ListenAddress, parse_duration
from jelmon.errors import ConfigError, JelmonError
from jelmon.service.registry import Instruments
from jelmon.service.web import CrossSiteError, WebConfig, refuse_cross_site
from jelmon_board.collection import Collector
from jelmon_board.model.alerts import LEVEL, Alert
from jelmon_board.model.matchers import Matcher
from jelmon_board.sources.responder import TestReport

logger = logging.getLogger(__name__)

PATH = "/actions"
DONE = {
    "silence": "The alert is silenced.",
    "acknowledge": "The alert is acknowledged: it stays visible and is not escalated meanwhile.",
    "expire": "The silence has ended.",
}
_LONGEST_SECONDS = 7 * 86400.0
_TEXT = 300
TEST_SECONDS = 60

Show = Callable[[str, str, int, TestReport | None], web.Response]
"""Renders a message: title, text, status, and the steps of a test alert."""


class ActionError(JelmonError):
    """The request cannot be carried out; the reader gets the message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Actions:
    """Carries out what forms ask for."""

    def __init__(self, collector: Collector, instruments: Instruments, show: Show) -> None:
        self._collector = collector
        self._instruments = instruments
        self._show = show
        self.authenticates = False
        self.token = secrets.token_urlsafe(32)
        self._handlers: dict[str, Callable[[Mapping[str, str]], Awaitable[None]]] = {
            "silence": self._silence,
            "acknowledge": self._acknowledge,
            "expire": self._expire,
        }

    def require(self, config: WebConfig, listen: ListenAddress) -> None:
        """Note whether there is a login.

        Raises:
            ConfigError: no login is required, and other machines can reach the board.
        """
        if not config.authenticates and not listen.is_loopback:
            raise ConfigError(
                "--enable-actions: anybody who can reach the board could silence alerts",
                hint="let only known users in: basic_auth_users in --web.config.file; or listen on 127.0.0.1",
            )
        self.authenticates = config.authenticates

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Carry out one form, then lead back to its page."""
        action = "unknown"
        try:
            fields = await self._fields(request)
            action = fields.get("action", "")
            if action == "test":
                return await self._test(fields)
            if action not in self._handlers:
                raise ActionError(f"unknown action {action[:50]!r}")
            await self._handlers[action](fields)
        except ActionError as error:
            self._count(action, "refused")
            return self._show("Not done", error.message, error.status, None)
        except JelmonError as error:
            self._count(action, "failure")
            return self._show("It did not work", error.message, 502, None)
        self._count(action, "success")
        logger.info("action", extra={"action": action, "author": fields.get("author", "")[:_TEXT]})
        self._collector.refresh_soon()
        back = fields.get("back", "/")
        if not back.startswith("/") or back.startswith(("//", "/\\")) or any(ord(char) < 32 for char in back):
            back = "/"
        path, _, query = back.partition("?")
        kept = "&".join(part for part in query.split("&") if part and not part.startswith("done="))
        raise web.HTTPSeeOther(f"{path}?{kept + '&' if kept else ''}done={action}")

    async def _fields(self, request: web.Request) -> dict[str, str]:
        try:
            refuse_cross_site(request)
        except CrossSiteError as error:
            raise ActionError(error.message, 403) from error
        if not self.authenticates and not ListenAddress(_host(request.host), 0).is_loopback:
            raise ActionError("without a login, actions work only at 127.0.0.1 and localhost", 403)
        if request.content_type != "application/x-www-form-urlencoded":
            raise ActionError("send the form of a page", 415)
        posted = await request.post()
        fields = {name: value for name, value in posted.items() if isinstance(value, str)}
        if not hmac.compare_digest(fields.get("token", "").encode(), self.token.encode()):
            raise ActionError("this page is from an earlier run of the board: load it again, and repeat", 403)
        return fields

    async def _silence(self, fields: Mapping[str, str]) -> None:
        alert = self._alert(fields)
        await self._create(_matchers(alert), fields, fields.get("comment", "") or "silenced on the board")

    async def _acknowledge(self, fields: Mapping[str, str]) -> None:
        alert = self._alert(fields)
        matchers = [*_matchers(alert), Matcher(LEVEL, ".+", is_regex=True)]
        await self._create(matchers, fields, f"acknowledged: {fields.get('comment', '') or 'somebody is on it'}")

    async def _create(self, matchers: list[Matcher], fields: Mapping[str, str], comment: str) -> None:
        author = fields.get("author", "").strip()[:_TEXT]
        if not author:
            raise ActionError("say who you are")
        try:
            seconds = parse_duration(fields.get("duration", "").strip(), name="duration")
        except ConfigError as error:
            raise ActionError(f"{error.message}: {error.hint}") from error
        if not 60 <= seconds <= _LONGEST_SECONDS:
            raise ActionError("choose from one minute to seven days")
        now = time.time()
        await self._collector.alertmanager.silence(
            matchers, starts=now, ends=now + seconds, author=author, comment=comment[:_TEXT]
        )

    async def _expire(self, fields: Mapping[str, str]) -> None:
        wanted = fields.get("silence", "")
        if not any(silence.id == wanted for silence in self._collector.snapshot.silences):
            raise ActionError("this silence has ended already", 404)
        await self._collector.alertmanager.expire(wanted)

    async def _test(self, _: Mapping[str, str]) -> web.Response:
        report = await self._collector.tester.test(seconds=TEST_SECONDS)
        self._count("test", "success" if report.ok else "failure")
        title = "The test alert arrived" if report.ok else "The test alert did not arrive"
        return self._show(title, report.error or "", 200 if report.ok else 502, report)

    def _alert(self, fields: Mapping[str, str]) -> Alert:
        wanted = fields.get("alert", "")
        for alert in self._collector.snapshot.alerts:
            if wanted and alert.identity == wanted:
                return alert
        raise ActionError("this alert does not fire any more", 404)

    def _count(self, action: str, outcome: str) -> None:
        if action in (*self._handlers, "test"):
            self._instruments.inc(BOARD_ACTIONS, action=action, outcome=outcome)


def user_of(request: web.Request) -> str:
    """Return the name with which the reader logged in; empty if there is no login."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[0].decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _matchers(alert: Alert) -> list[Matcher]:
    return [Matcher(name, value) for name, value in sorted(alert.labels.items())]


def _host(host: str) -> str:
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower()
