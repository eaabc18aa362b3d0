"""Publish actions on NATS: ``jelmore.actions.<action>`` for the pipeline, and an event for all other consumers.

The action log is a transactional outbox: an action is written in the transaction of its alert and published
afterwards, so that it survives an outage of NATS or a crash. It may be published twice, with the same event id.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from jelmon.catalogue import RESPONDER_ACTIONS
from jelmon.errors import JelmonError, SourceError
from jelmon.events import ActionRequested, ActionRequestedData, Outcome, encode, identity, make
from jelmon.nats import connection as jetstream
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import action_subject, subject_of
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_responder.history.protocol import Action, AlertHistory

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(minutes=5)
"""An action that could not be published for this long is abandoned: it may no longer be appropriate."""
RETRY_SECONDS = 2.0
SOURCE = "/jelmon/responder"


class ActionPublisher:
    """Publishes pending actions when woken and every few seconds."""

    def __init__(self, settings: NatsSettings, history: AlertHistory, instruments: Instruments) -> None:
        self._settings = settings
        self._history = history
        self._instruments = instruments
        self._client: Client | None = None
        self._wake = asyncio.Event()
        self.check = Check(False, "not connected yet", needed=False)

    def wake(self) -> None:
        """Signal that an action is pending."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        try:
            while True:
                try:
                    await self._publish_pending()
                except JelmonError as error:
                    logger.warning("actions delayed", extra={"error": error.message})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), RETRY_SECONDS)
                self._wake.clear()
        finally:
            if self._client is not None:
                await self._client.close()

    async def _publish_pending(self) -> None:
        connection = await self._connected()
        for action in reversed(await self._history.actions(pending=True)):
            if datetime.now(UTC) - action.requested_at > MAX_AGE:
                await self._finish(action, Outcome.TIMEOUT, f"not published within {MAX_AGE}")
            elif connection is not None:
                await self._publish(connection, action)
                await self._finish(action, Outcome.SUCCESS, "published")

    async def _connected(self) -> Client | None:
        """Return the connection, or None while NATS is unavailable; actions then still reach their maximum age."""
        if self._client is None:
            try:
                self._client = await jetstream.connect(self._settings, name="jelmon-responder", patience=RETRY_SECONDS)
            except SourceError as error:
                if self.check.detail != "does not respond":
                    logger.warning("NATS does not respond", extra={"error": error.message})
                self.check = Check(False, "does not respond", needed=False)
                return None
        up = self._client.is_connected
        self.check = Check(up, "connected" if up else "connection lost", needed=False)
        return self._client if up else None

    async def _publish(self, connection: Client, action: Action) -> None:
        event = requested_event(action)
        payload, headers = encode(event), {"Nats-Msg-Id": identity(event)}
        try:
            await connection.publish(action_subject(action.action), payload, headers=headers)
            await connection.flush(5)
            await connection.jetstream().publish(subject_of(event), payload, headers=headers, timeout=5)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            raise SourceError(f"cannot publish an action: {str(error) or type(error).__name__}") from error

    async def _finish(self, action: Action, outcome: Outcome, detail: str) -> None:
        finished = replace(action, outcome=outcome, finished_at=datetime.now(UTC), detail=detail)
        await self._history.finish_action(finished)
        self._instruments.inc(RESPONDER_ACTIONS, action=action.action, outcome=outcome)
        logger.info(
            "action finished", extra={"action": action.action, "requested_by": action.requested_by, "outcome": outcome}
        )


def requested_event(action: Action) -> ActionRequested:
    """Return the event that requests the action; it is the same each time."""
    data = ActionRequestedData(
        action=action.action,
        pipeline=action.pipeline or None,
        stage=action.stage or None,
        requested_by=action.requested_by,
    )
    return make(
        ActionRequested, data, source=SOURCE, subject=action.id, time=action.requested_at, id=f"{action.id}.requested"
    )
