"""Asking Alertmanager (API version 2) what it has, and telling it alerts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from jelmon.errors import SourceError
from jelmon_responder.http.webhook import in_utc
from jelmon_responder.silences import Silence, SilencedAlert, last_ends

TIMEOUT_SECONDS = 10.0
T = TypeVar("T")


class _ActiveAlert(msgspec.Struct, rename="camel"):
    fingerprint: str
    starts_at: datetime


class _AlertmanagerStatus(msgspec.Struct):
    uptime: datetime
    """When it started, whatever the name says."""


Active = dict[str, list[datetime]]
"""Fingerprint -> starts."""


class Alertmanager:
    """One Alertmanager, or the members of one cluster."""

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
        """When the youngest member started. A member that starts knows no alerts.

        Raises:
            SourceError: a member does not answer.
        """
        decode = msgspec.json.Decoder(_AlertmanagerStatus).decode
        statuses = [await self._request(url, "GET", "/api/v2/status", decode) for url in self._urls]
        return max(in_utc(status.uptime) for status in statuses)

    async def active(self) -> Active:
        """Every alert that fires in any member, silenced and inhibited ones too.

        Raises:
            SourceError: a member does not answer.
        """
        decode = msgspec.json.Decoder(list[_ActiveAlert]).decode
        path = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
        found: Active = {}
        for url in self._urls:
            for alert in await self._request(url, "GET", path, decode):
                found.setdefault(alert.fingerprint, []).append(in_utc(alert.starts_at))
        return found

    async def silence_ends(self) -> dict[str, datetime]:
        """When alerts that fire and are silenced lose their last silence, by name of the alert.

        Raises:
            SourceError: a member does not answer.
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

    async def tell(
        self, labels: dict[str, str], annotations: dict[str, str], *, starts: datetime, ends: datetime
    ) -> None:
        """Send one alert to every member.

        Raises:
            SourceError: a member does not take it.
        """
        alert = {"labels": labels, "annotations": annotations, "startsAt": _rfc3339(starts), "endsAt": _rfc3339(ends)}
        for url in self._urls:
            await self._request(url, "POST", "/api/v2/alerts", bytes, json=[alert])

    async def _request(self, url: str, method: str, path: str, decode: Callable[[bytes], T], **options: Any) -> T:
        assert self._session is not None, "use it in an async with block"
        place = f"Alertmanager at {urlsplit(url).hostname}:{urlsplit(url).port or ''}".rstrip(":")
        try:
            async with self._session.request(method, f"{url}{path}", **options) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceError(
                f"{place} does not answer: {str(error) or type(error).__name__}",
                hint="start it, or correct --alertmanager.url",
            ) from error
        if response.status != 200:
            raise SourceError(f"{place} answers {response.status}: {body[:200].decode('utf-8', 'replace').strip()}")
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceError(
                f"{place} answers what no Alertmanager answers: {error}", hint="is --alertmanager.url right?"
            ) from error


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
