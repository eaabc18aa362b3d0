"""The responder: the history of alerts, and test alerts."""

from datetime import datetime

import msgspec

from jelmon_board.model.episodes import Episode
from jelmon_board.sources.fetch import Fetcher

MOST_EPISODES = 1000
"""The responder answers with at most this many."""


class _Episode(msgspec.Struct):
    alertname: str
    status: str
    severity: str
    starts_at: datetime
    pipeline: str = ""
    stage: str = ""
    ends_at: datetime | None = None
    duration_seconds: float | None = None
    closed_by: str | None = None
    escalation_level: int | None = None
    notifications: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Alerts(msgspec.Struct):
    alerts: list[_Episode]


class TestStep(msgspec.Struct):
    """One step of a test alert."""

    step: str
    ok: bool
    seconds: float
    detail: str = ""


class TestReport(msgspec.Struct):
    """What became of a test alert."""

    ok: bool = False
    steps: list[TestStep] = []
    error: str = ""


class Responder:
    """One responder."""

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        self.url = url
        self._fetcher = fetcher

    async def episodes(self, *, since: str, limit: int = MOST_EPISODES, **filters: str) -> list[Episode]:
        """Return the newest episodes of alerts; ``since`` is a duration such as ``24h``.

        Raises:
            SourceError: the responder does not answer.
        """
        parameters = {"since": since, "limit": str(limit), **{name: text for name, text in filters.items() if text}}
        answer = await self._fetcher.get(f"{self.url}/api/v1/alerts", _Alerts, params=parameters)
        return [
            Episode(
                name=row.alertname,
                severity=row.severity,
                pipeline=row.pipeline or "",
                stage=row.stage or "",
                starts=row.starts_at.timestamp(),
                ends=row.ends_at.timestamp() if row.ends_at else None,
                seconds=row.duration_seconds,
                is_firing=row.status == "firing",
                closed_by=row.closed_by or "",
                level=row.escalation_level or 0,
                notifications=row.notifications,
                labels=row.labels,
                annotations=row.annotations,
            )
            for row in answer.alerts
        ]

    async def test(self, *, seconds: int) -> TestReport:
        """Send a test alert and wait until it is in the history.

        Raises:
            SourceError: the responder does not answer.
        """
        path = f"{self.url}/api/v1/alerts/test?timeout={seconds}s"
        return await self._fetcher.post(path, TestReport, allow=(504, 409, 501))
