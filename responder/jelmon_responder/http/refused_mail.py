"""Handlers for e-mails that were set aside, as the mail server will never accept them: list them, send them again."""

from collections.abc import Callable

from aiohttp import web

from jelmon.errors import JelmonError
from jelmon.service.web import CrossSiteError, refuse_cross_site
from jelmon_responder.alerts import rfc3339
from jelmon_responder.history.protocol import MAX_LIMIT, AlertHistory
from jelmon_responder.http.responses import json, problem, unavailable

PATH = "/api/v1/email/refused"


class RefusedMailHandlers:
    """The e-mails that were set aside. ``on_waiting`` is called when notifications wait again."""

    def __init__(self, history: AlertHistory, on_waiting: Callable[[], None]) -> None:
        self._history = history
        self._on_waiting = on_waiting

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get(PATH, self._list), web.post(f"{PATH}/retry", self._retry)]

    async def _list(self, _: web.Request) -> web.Response:
        try:
            emails = await self._history.refused_emails(limit=MAX_LIMIT)
        except JelmonError as error:
            return unavailable(error)
        return json(
            {
                "refused": [
                    {
                        "id": email.id,
                        "refused_at": rfc3339(email.refused_at),
                        "reason": email.reason,
                        "notifications": [
                            {"created_at": rfc3339(entry.created_at), "subject": entry.subject, "body": entry.body}
                            for entry in email.notifications
                        ],
                    }
                    for email in emails
                ]
            }
        )

    async def _retry(self, request: web.Request) -> web.Response:
        try:
            refuse_cross_site(request)
            count = await self._history.retry_refused_emails()
        except CrossSiteError as error:
            return problem(error, 403)
        except JelmonError as error:
            return unavailable(error)
        self._on_waiting()
        return json({"waiting_again": count})
