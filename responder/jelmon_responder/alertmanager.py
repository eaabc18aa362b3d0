"""A client for Alertmanager's API (version 2): active alerts, silences, and sending alerts."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from jelmon.errors import SourceError
from jelmon_responder.alerts import ActiveAlerts, rfc3339, to_utc
from jelmon_responder.silences import Silence, SilencedAlert, last_ends

TIMEOUT_SECONDS = 10.0
T = TypeVar("T")


class _ActiveAlert(msgspec.Struct, rename="camel"):
    fingerprint: str
    starts_at: datetime


class _AlertmanagerStatus(msgspec.Struct):
    uptime: datetime
    """The time at which it started, despite the name."""


class Alertmanager:
    """A single Alertmanager, or all members of a cluster."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def started_at(self) -> datetime:
        """Return when the newest member started. A member that has just started knows no alerts.

        Raises:
            SourceError: a member does not respond.
        """
        decode = msgspec.json.Decoder(_AlertmanagerStatus).decode
        statuses = [await self._request(url, "GET", "/api/v2/status", decode) for url in self._urls]
        return max(to_utc(status.uptime) for status in statuses)

    async def active(self) -> ActiveAlerts:
        """Return every alert that is active in any member, including silenced and inhibited ones.

        Raises:
            SourceError: a member does not respond.
        """
        decode = msgspec.json.Decoder(list[_ActiveAlert]).decode
        path = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
        active: ActiveAlerts = {}
        for url in self._urls:
            for alert in await self._request(url, "GET", path, decode):
                active.setdefault(alert.fingerprint, []).append(to_utc(alert.starts_at))
        return active

    async def silence_ends(self) -> dict[str, datetime]:
        """Return when silenced, firing alerts lose their last silence, by alert name.

        Raises:
            SourceError: a member does not respond.
        """
        of_alerts = msgspec.json.Decoder(list[SilencedAlert]).decode
        of_silences = msgspec.json.Decoder(list[Silence]).decode
        alerts: list[SilencedAlert] = []
        silences: list[Silence] = []
        path = "/api/v2/alerts?active=false&silenced=true&inhibited=true&unprocessed=false"
        for url in self._urls:
            alerts += await self._request(url, "GET", path, of_alerts)
            silences += await self._request(url, "GET", "/api/v2/silences", of_silences)
        return last_ends(alerts, silences)

    async def send(
        self, labels: dict[str, str], annotations: dict[str, str], *, starts: datetime, ends: datetime
    ) -> None:
        """Send one alert to every member.

        Raises:
            SourceError: a member refuses it or does not respond.
        """
        alert = {"labels": labels, "annotations": annotations, "startsAt": rfc3339(starts), "endsAt": rfc3339(ends)}
        for url in self._urls:
            await self._request(url, "POST", "/api/v2/alerts", bytes, json=[alert])

    async def _request(self, url: str, method: str, path: str, decode: Callable[[bytes], T], **options: Any) -> T:
        assert self._session is not None, "use this in an async with block"
        name = f"Alertmanager at {urlsplit(url).hostname}:{urlsplit(url).port or ''}".rstrip(":")
        try:
            async with self._session.request(method, f"{url}{path}", **options) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceError(
                f"{name} does not respond: {str(error) or type(error).__name__}",
                hint="is it running, and is --alertmanager.url right?",
            ) from error
        if response.status != 200:
            raise SourceError(
                f"{name} responded with status {response.status}: {body[:200].decode('utf-8', 'replace').strip()}"
            )
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceError(
                f"{name} sent an unexpected response: {error}", hint="is --alertmanager.url right?"
            ) from error
