"""Record webhook calls and polls in the history, and report each change: a log line, metrics, e-mail and actions.

The log lines go to the logger ``jelmon_responder.alerts``, so that a log collector can select them by name.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from jelmon.bundle.timeline import Timeline
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
from jelmon_responder.actions.requested import requested_actions
from jelmon_responder.alerts import ActiveAlerts, Delivery, known_severity
from jelmon_responder.history.episode import Change, ChangeKind, Episode
from jelmon_responder.history.fold import Folded, fold_active, fold_delivery
from jelmon_responder.history.protocol import Action, AlertHistory, Entry, Notification, Query
from jelmon_responder.mail.compose import notifications

logger = logging.getLogger(__name__)
alerts_logger = logging.getLogger("jelmon_responder.alerts")

_FIRING_LEVELS = {"critical": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "none": logging.DEBUG}

T = TypeVar("T")


class AlertRecorder:
    """The only access to the alert rows of the history. ``check`` reports whether the last access succeeded."""

    def __init__(
        self,
        history: AlertHistory,
        instruments: Instruments,
        *,
        allowed_actions: Collection[str] = (),
        can_publish: bool = False,
        on_actions: Callable[[], None] = lambda: None,
        mailed_severities: Collection[str] = (),
        on_notifications: Callable[[], None] = lambda: None,
        timeline: Callable[[], Timeline] = Timeline,
    ) -> None:
        self._history = history
        self._instruments = instruments
        self._allowed_actions = frozenset(allowed_actions)
        self._can_publish = can_publish
        self._on_actions = on_actions
        self._mailed_severities = frozenset(mailed_severities)
        self._on_notifications = on_notifications
        self._timeline = timeline
        self.check = Check(False, "not connected yet")

    async def start(self) -> None:
        """Open the history. If its server does not respond yet, each later access tries again.

        Raises:
            ConfigError: it can never work.
        """
        with contextlib.suppress(SourceError):  # _access has logged it
            await self._access(self._history.start())
            await self.refresh()

    async def stop(self) -> None:
        """Close the history."""
        await self._history.stop()

    async def deliver(self, delivery: Delivery, *, now: datetime) -> None:
        """Record one webhook call; on return it is on disk.

        Raises:
            JelmonError: the history is unavailable; nothing was stored.
        """
        actions: list[Action] = []

        def fold(rows: list[Episode]) -> Entry:
            folded = fold_delivery(rows, delivery, now=now)
            actions[:] = requested_actions(
                folded.changes, allowed=self._allowed_actions, can_publish=self._can_publish, now=now
            )
            return Entry(folded=folded, actions=actions, notifications=self._notifications(folded, now))

        keys = [(alert.fingerprint, alert.starts_at) for alert in delivery.alerts]
        folded = await self._access(self._history.amend(keys, fold))
        for action in actions:
            if action.outcome is not None:
                name = action.action if action.action in self._allowed_actions else "other"
                self._instruments.inc(RESPONDER_ACTIONS, action=name, outcome=action.outcome)
        if any(action.outcome is None for action in actions):
            self._on_actions()
        await self._report(folded.changes)

    async def reconcile(self, active: ActiveAlerts, *, polled_at: datetime) -> None:
        """Close episodes that Alertmanager no longer has, and reopen those it has.

        Raises:
            JelmonError: the history is unavailable.
        """

        def fold(rows: list[Episode]) -> Entry:
            folded = fold_active(rows, active, polled_at=polled_at)
            return Entry(folded=folded, notifications=self._notifications(folded, polled_at))

        keys = [(fingerprint, start) for fingerprint, starts in active.items() for start in starts]
        folded = await self._access(self._history.amend(keys, fold, and_firing=True))
        await self._report(folded.changes)

    async def read(self, query: Query) -> list[Episode]:
        """Return rows of the history, newest first.

        Raises:
            JelmonError: the history is unavailable.
        """
        return await self._access(self._history.read(query))

    async def refresh(self) -> None:
        """Update the gauge of firing alerts from the history, which other responders may also write to.

        Raises:
            JelmonError: the history is unavailable.
        """
        counts = dict.fromkeys(ALERT_SEVERITIES, 0)
        for severity, count in (await self._access(self._history.firing())).items():
            counts[known_severity(severity)] += count
        for severity, count in counts.items():
            self._instruments.set(ALERTS_FIRING, count, severity=severity)

    def _notifications(self, folded: Folded, now: datetime) -> list[Notification]:
        return notifications(folded.changes, severities=self._mailed_severities, now=now)

    async def _report(self, changes: Iterable[Change]) -> None:
        changes = list(changes)
        durations = await asyncio.to_thread(self._times_to_restore, changes)
        for change, duration in zip(changes, durations, strict=True):
            self._count(change, duration)
            _log(change)
        if changes:
            self._on_notifications()
            with contextlib.suppress(JelmonError):  # the rows are written; the next refresh updates the gauge
                await self.refresh()

    def _count(self, change: Change, duration: float | None) -> None:
        severity = known_severity(change.episode.severity)
        self._instruments.inc(ALERTS_RECEIVED, severity=severity, status=change.kind)
        if duration is not None:
            self._instruments.observe(ALERT_DURATION, duration, severity=severity)

    def _times_to_restore(self, changes: Iterable[Change]) -> list[float | None]:
        timeline = self._timeline()
        return [_time_to_restore(change, timeline) for change in changes]

    async def _access(self, work: Awaitable[T]) -> T:
        try:
            result = await work
        except JelmonError as error:
            if self.check.ok or self.check.detail == "not connected yet":
                logger.error("alert history unavailable", extra={"error": error.message, "hint": error.hint})
            self._set_check(Check(False, f"{self._history.kind} is unavailable"))
            raise
        if not self.check.ok:
            logger.info("alert history available", extra={"history": self._history.kind})
        self._set_check(Check(True, self._history.kind))
        return result

    def _set_check(self, check: Check) -> None:
        self.check = check
        self._instruments.set(HISTORY_UP, int(check.ok))


def _time_to_restore(change: Change, timeline: Timeline) -> float | None:
    """Return the duration outside maintenance; None if it is unknown or all of it was maintenance."""
    episode = change.episode
    duration = episode.duration_seconds
    if change.kind is not ChangeKind.RESOLVED or episode.is_drill or duration is None or episode.ends_at is None:
        return None
    maintained = timeline.overlap_seconds(episode.labels, episode.starts_at, episode.ends_at)
    return None if 0 < duration <= maintained else duration - maintained


def _log(change: Change) -> None:
    episode = change.episode
    level = _FIRING_LEVELS[known_severity(episode.severity)]
    is_firing = change.kind is ChangeKind.FIRING
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
        level if is_firing else min(level, logging.INFO),
        "alert firing" if is_firing else "alert resolved",
        extra={name: value for name, value in facts.items() if value not in ("", None, 0) or name == "alertname"},
    )
