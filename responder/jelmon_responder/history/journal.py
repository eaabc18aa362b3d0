"""Keeps the history and says what is new in it: one log line a change, and the responder's metrics.

Log lines go to the logger ``jelmon_responder.alerts``, the channel that a log collector can pick up by name.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from jelmon.bundle.maintenance import Maintenance, overlap_seconds
from jelmon.catalogue import (
    ALERT_DURATION,
    ALERT_SEVERITIES,
    ALERTS_FIRING,
    ALERTS_RECEIVED,
    HISTORY_UP,
    RESPONDER_ACTIONS,
)
from jelmon.errors import JelmonError, SourceError
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_responder.actions.wanted import wanted
from jelmon_responder.alertmanager import Active
from jelmon_responder.history.episodes import Change, Episode, Folded, What, fold_active, fold_delivery, known_severity
from jelmon_responder.history.history import Action, AlertHistory, Entry, Query
from jelmon_responder.http.webhook import Delivery
from jelmon_responder.mail.budget import Notice
from jelmon_responder.mail.mail import notices

logger = logging.getLogger(__name__)
alerts_logger = logging.getLogger("jelmon_responder.alerts")

_FIRING_LEVELS = {"critical": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "none": logging.DEBUG}

T = TypeVar("T")


class Journal:
    """The one way to the history. After each access ``check`` says whether it answered."""

    def __init__(
        self,
        history: AlertHistory,
        instruments: Instruments,
        *,
        allowed_actions: Collection[str] = (),
        can_publish: bool = False,
        on_actions: Callable[[], None] = lambda: None,
        mailed_severities: Collection[str] = (),
        on_notices: Callable[[], None] = lambda: None,
        windows: Callable[[], Collection[Maintenance]] = tuple,
    ) -> None:
        self._history = history
        self._instruments = instruments
        self._allowed_actions = frozenset(allowed_actions)
        self._can_publish = can_publish
        self._on_actions = on_actions
        self._mailed_severities = frozenset(mailed_severities)
        self._on_notices = on_notices
        self._windows = windows
        self.check = Check(False, "not connected yet")

    async def start(self) -> None:
        """Open the history. A server that does not answer yet is tried again at each access.

        Raises:
            ConfigError: it can never work.
        """
        with contextlib.suppress(SourceError):  # told by _access
            await self._access(self._history.start())
            await self.refresh()

    async def stop(self) -> None:
        """Close the history."""
        await self._history.stop()

    async def deliver(self, delivery: Delivery, *, now: datetime) -> None:
        """Keep one webhook call; when this returns it is on disk.

        Raises:
            JelmonError: the history does not answer; nothing was kept.
        """
        actions: list[Action] = []

        def fold(rows: list[Episode]) -> Entry:
            folded = fold_delivery(rows, delivery, now=now)
            actions[:] = wanted(folded.changes, allowed=self._allowed_actions, can_publish=self._can_publish, now=now)
            return Entry(folded=folded, actions=actions, notices=self._notices(folded, now))

        keys = [(alert.fingerprint, alert.starts_at) for alert in delivery.alerts]
        folded = await self._access(self._history.amend(keys, fold))
        for action in actions:
            if action.outcome is not None:
                name = action.action if action.action in self._allowed_actions else "other"
                self._instruments.inc(RESPONDER_ACTIONS, action=name, outcome=action.outcome)
        if any(action.outcome is None for action in actions):
            self._on_actions()
        await self._tell(folded.changes)

    async def reconcile(self, active: Active, *, polled_at: datetime) -> None:
        """Close what Alertmanager no longer has, and open again what it has.

        Raises:
            JelmonError: the history does not answer.
        """

        def fold(rows: list[Episode]) -> Entry:
            folded = fold_active(rows, active, polled_at=polled_at)
            return Entry(folded=folded, notices=self._notices(folded, polled_at))

        keys = [(fingerprint, start) for fingerprint, starts in active.items() for start in starts]
        folded = await self._access(self._history.amend(keys, fold, and_firing=True))
        await self._tell(folded.changes)

    async def read(self, query: Query) -> list[Episode]:
        """Rows of the history, newest first.

        Raises:
            JelmonError: the history does not answer.
        """
        return await self._access(self._history.read(query))

    async def refresh(self) -> None:
        """Ask the history how many alerts fire; other responders may write to it too.

        Raises:
            JelmonError: the history does not answer.
        """
        numbers = dict.fromkeys(ALERT_SEVERITIES, 0)
        for severity, number in (await self._access(self._history.firing())).items():
            numbers[known_severity(severity)] += number
        for severity, number in numbers.items():
            self._instruments.set(ALERTS_FIRING, number, severity=severity)

    def _notices(self, folded: Folded, now: datetime) -> list[Notice]:
        return notices(folded.changes, severities=self._mailed_severities, now=now)

    async def _tell(self, changes: Iterable[Change]) -> None:
        changes = list(changes)
        for change in changes:
            self._count(change)
            _log(change)
        if changes:
            self._on_notices()
            with contextlib.suppress(JelmonError):  # what was written is written; the next refresh counts it
                await self.refresh()

    def _count(self, change: Change) -> None:
        severity = known_severity(change.episode.severity)
        self._instruments.inc(ALERTS_RECEIVED, severity=severity, status=change.what)
        if change.what is What.RESOLVED and not change.episode.is_drill:
            duration = self._time_to_restore(change.episode)
            if duration is not None:
                self._instruments.observe(ALERT_DURATION, duration, severity=severity)

    def _time_to_restore(self, episode: Episode) -> float | None:
        """How long it lasted outside maintenance; None when it lasted in maintenance only, or nobody knows."""
        duration = episode.duration_seconds
        if duration is None or episode.ends_at is None:
            return None
        maintained = overlap_seconds(self._windows(), episode.labels, episode.starts_at, episode.ends_at)
        return None if 0 < duration <= maintained else duration - maintained

    async def _access(self, work: Awaitable[T]) -> T:
        try:
            result = await work
        except JelmonError as error:
            if self.check.ok or self.check.detail == "not connected yet":
                logger.error("the alert history does not answer", extra={"error": error.message, "hint": error.hint})
            self._set_check(Check(False, f"{self._history.kind} does not answer"))
            raise
        if not self.check.ok:
            logger.info("the alert history answers", extra={"history": self._history.kind})
        self._set_check(Check(True, self._history.kind))
        return result

    def _set_check(self, check: Check) -> None:
        self.check = check
        self._instruments.set(HISTORY_UP, int(check.ok))


def _log(change: Change) -> None:
    episode = change.episode
    level = _FIRING_LEVELS[known_severity(episode.severity)]
    fires = change.what is What.FIRING
    facts = {
        "alertname": episode.alertname,
        "severity": episode.severity,
        "pipeline": episode.pipeline,
        "stage": episode.stage,
        "escalation_level": episode.escalation_level,
        "starts_at": episode.starts_at.astimezone(UTC).isoformat(),
        "fingerprint": episode.fingerprint,
        "receiver": episode.receiver,
        "summary": episode.annotations.get("summary", ""),
        "closed_by": episode.closed_by,
        "duration_seconds": episode.duration_seconds,
    }
    alerts_logger.log(
        level if fires else min(level, logging.INFO),
        "alert fires" if fires else "alert is over",
        extra={name: value for name, value in facts.items() if value not in ("", None, 0) or name == "alertname"},
    )
