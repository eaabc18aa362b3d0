"""Alertmanager's API, version 2: alerts, silences, routes; and what the board's actions send."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from jelmon_board.model.alerts import Alert, Silence
from jelmon_board.model.matchers import Matcher
from jelmon_board.sources.fetch import Fetcher


class _Name(msgspec.Struct):
    name: str


class _AlertStatus(msgspec.Struct, rename="camel"):
    inhibited_by: list[str] = []


class _WireAlert(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    starts_at: datetime
    fingerprint: str = ""
    annotations: dict[str, str] = {}
    receivers: list[_Name] = []
    status: _AlertStatus = msgspec.field(default_factory=_AlertStatus)


class _WireMatcher(msgspec.Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class _SilenceStatus(msgspec.Struct):
    state: str


class _WireSilence(msgspec.Struct, rename="camel"):
    id: str
    matchers: list[_WireMatcher]
    starts_at: datetime
    ends_at: datetime
    status: _SilenceStatus
    created_by: str = ""
    comment: str = ""


class _Config(msgspec.Struct):
    original: str


class _Status(msgspec.Struct):
    config: _Config


class Alertmanager:
    """One Alertmanager; in a cluster any member will do, as they share silences."""

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        self.url = url
        self._fetcher = fetcher

    async def alerts(self) -> list[Alert]:
        """Return all alerts, with silenced and inhibited ones.

        Raises:
            SourceError: Alertmanager does not answer.
        """
        found = await self._fetcher.get(f"{self.url}/api/v2/alerts", list[_WireAlert])
        return [
            Alert(
                labels=alert.labels,
                annotations=alert.annotations,
                since=alert.starts_at.timestamp(),
                receivers=tuple(receiver.name for receiver in alert.receivers),
                inhibited=bool(alert.status.inhibited_by),
                identity=alert.fingerprint,
            )
            for alert in found
        ]

    async def silences(self) -> list[Silence]:
        """Return the silences that are active or pending.

        Raises:
            SourceError: Alertmanager does not answer.
        """
        found = await self._fetcher.get(f"{self.url}/api/v2/silences", list[_WireSilence])
        return [
            Silence(
                id=silence.id,
                matchers=tuple(Matcher(m.name, m.value, m.is_regex, m.is_equal) for m in silence.matchers),
                starts=silence.starts_at.timestamp(),
                ends=silence.ends_at.timestamp(),
                author=silence.created_by,
                comment=silence.comment,
                active=silence.status.state == "active",
            )
            for silence in found
            if silence.status.state != "expired"
        ]

    async def configuration(self) -> str:
        """Return its configuration as YAML, without secrets.

        Raises:
            SourceError: Alertmanager does not answer.
        """
        return (await self._fetcher.get(f"{self.url}/api/v2/status", _Status)).config.original

    async def silence(self, matchers: list[Matcher], *, ends: float, starts: float, author: str, comment: str) -> None:
        """Create a silence.

        Raises:
            SourceError: Alertmanager does not answer or refuses it.
        """
        body = {
            "matchers": [
                {"name": m.name, "value": m.value, "isRegex": m.is_regex, "isEqual": m.is_equal} for m in matchers
            ],
            "startsAt": _time(starts),
            "endsAt": _time(ends),
            "createdBy": author,
            "comment": comment,
        }
        await self._fetcher.send("POST", f"{self.url}/api/v2/silences", json=body)

    async def expire(self, silence_id: str) -> None:
        """End a silence.

        Raises:
            SourceError: Alertmanager does not answer or does not know it.
        """
        await self._fetcher.send("DELETE", f"{self.url}/api/v2/silence/{quote(silence_id, safe='')}")


def silence_link(base: str, alert: Alert) -> str:
    """Return the page of Alertmanager's own interface that silences the alert."""
    matchers = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(alert.labels.items()))
    return f"{base}/#/silences/new?filter={quote('{' + matchers + '}', safe='')}"


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
