"""Publish actions on NATS: an event for everybody in the stream, then the request on ``jelmore.actions.<action>``.

The action log is a transactional outbox: an action is written in the transaction of its alert and published
afterwards, so that it survives an outage of NATS or a crash. The durable step comes first: the event is stored in the
stream, as often as needed and with the same id. Then the attempt is written down, and the request is sent once; if
nobody confirms it, its outcome stays unknown and it is not sent again. Nothing is requested that is not in the stream.
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
from jelmon.events import ActionRequested, ActionRequestedData, Outcome, encode, identity, make, validated
from jelmon.nats import connection as jetstream
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import action_subject, subject_of
from jelmon.service.registry import Instruments
from jelmon.service.tasks import end
from jelmon.service.web import Check
from jelmon_responder.history.protocol import Action, AlertHistory

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(minutes=5)
"""An action that could not be published for this long is abandoned: it may no longer be appropriate."""
UNKNOWN_AFTER = timedelta(minutes=1)
"""An action that was attempted this long ago without an outcome was being published when its responder died."""
UNKNOWN = "sent to NATS, which did not confirm it; it is not sent again"
RETRY_SECONDS = 2.0
TIMEOUT_SECONDS = 5
MAX_FAILURES = 3
"""Attempts that may fail before the others wait for the next round: each may last as long as the timeout."""
MAX_DETAIL = 500
SOURCE = "/jelmon/responder"


class ActionPublisher:
    """Publishes pending actions when woken and every few seconds."""

    def __init__(self, settings: NatsSettings, history: AlertHistory, instruments: Instruments) -> None:
        self._settings = settings
        self._history = history
        self._instruments = instruments
        self._client: Client | None = None
        self._wake = asyncio.Event()
        self._failed: set[str] = set()
        self._unwritten: dict[str, Action] = {}
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
                    logger.warning("actions delayed; those are not requested yet", extra={"error": error.message})
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    logger.warning("the connection to NATS was closed")  # which cancels whoever waits for an answer
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), RETRY_SECONDS)
                self._wake.clear()
        finally:
            await self._disconnect()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _publish_pending(self) -> None:
        connection = await self._connected()
        for action in list(self._unwritten.values()):
            await self._write(action)
        pending = await self._history.actions(pending=True)
        self._failed &= {action.id for action in pending}
        failures: list[SourceError] = []
        for action in sorted(pending, key=lambda action: action.id in self._failed):  # one cannot hold up the others
            now = datetime.now(UTC)
            if action.attempted_at is not None:
                if now - action.attempted_at > UNKNOWN_AFTER:
                    await self._finish(action, Outcome.ERROR, UNKNOWN)
            elif now - action.requested_at > MAX_AGE:
                await self._finish(action, Outcome.TIMEOUT, f"not requested: not in the stream within {MAX_AGE}")
            elif connection is not None and connection is self._client and len(failures) < MAX_FAILURES:
                try:
                    await self._publish(connection, action)
                except SourceError as error:
                    self._failed.add(action.id)
                    failures.append(error)
        if failures:
            raise failures[0]

    async def _connected(self) -> Client | None:
        """Return the connection, or None while NATS is unavailable; actions then still reach their maximum age."""
        if self._client is not None and self._client.is_closed:
            self._client = None
        if self._client is None:
            try:
                self._client = await jetstream.connect(self._settings, name="jelmon-responder", patience=RETRY_SECONDS)
            except JelmonError as error:
                if self.check.detail != "does not respond":
                    logger.warning("NATS does not respond", extra={"error": error.message})
                self.check = Check(False, "does not respond", needed=False)
                return None
        up = self._client.is_connected
        self.check = Check(up, "connected" if up else "connection lost", needed=False)
        return self._client if up else None

    async def _publish(self, connection: Client, action: Action) -> None:
        """Publish an action and store its outcome.

        Raises:
            SourceError: the stream does not take its event; nothing was requested.
        """
        try:
            event = requested_event(action)
        except JelmonError as error:  # no later attempt would succeed
            await self._finish(action, Outcome.FAILURE, f"not requested: {error.message}"[:MAX_DETAIL])
            return
        payload, headers = encode(event), {"Nats-Msg-Id": identity(event)}
        try:
            await connection.jetstream().publish(subject_of(event), payload, headers=headers, timeout=TIMEOUT_SECONDS)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            raise SourceError(
                f"the stream does not take the event of an action: {str(error) or type(error).__name__}"
            ) from error
        if not await self._history.attempt_action(action.id, now=datetime.now(UTC)):
            return  # another responder requests it
        try:
            await connection.publish(action_subject(action.action), payload, headers=headers)
            await self._confirm(connection)
        except (nats.errors.Error, TimeoutError) as error:
            logger.warning("action unconfirmed", extra={"action": action.action, "error": str(error)})
            await self._finish(action, Outcome.ERROR, UNKNOWN)
            return
        await self._finish(action, Outcome.SUCCESS, "published")

    async def _confirm(self, connection: Client) -> None:
        """Wait until NATS has taken what was sent. If it is late, disconnect.

        Raises:
            nats.errors.Error, TimeoutError: it has not.
        """
        # not with the time limit of nats-py: an answer just after it ends the client's reader, which stays connected
        # but deaf (2.16)
        flushing = asyncio.create_task(connection.flush(24 * 3600))
        try:
            if not (await asyncio.wait({flushing}, timeout=TIMEOUT_SECONDS))[0]:
                raise TimeoutError(f"no answer within {TIMEOUT_SECONDS} s")
            await flushing
        finally:
            if not flushing.done():
                await self._disconnect()  # the reader ends first
                await end(flushing)

    async def _finish(self, action: Action, outcome: Outcome, detail: str) -> None:
        if action.id not in self._unwritten:
            await self._write(replace(action, outcome=outcome, finished_at=datetime.now(UTC), detail=detail))

    async def _write(self, finished: Action) -> None:
        assert finished.outcome is not None
        self._unwritten[finished.id] = finished  # until the history has it
        await self._history.finish_action(finished)
        del self._unwritten[finished.id]
        self._instruments.inc(RESPONDER_ACTIONS, action=finished.action, outcome=finished.outcome)
        logger.info(
            "action finished",
            extra={
                "action": finished.action,
                "requested_by": finished.requested_by,
                "outcome": finished.outcome,
                "detail": finished.detail,
            },
        )


def requested_event(action: Action) -> ActionRequested:
    """Return the event that requests the action; it is the same each time.

    Raises:
        EventError: a name cannot be in an event, such as a pipeline with a line break.
    """
    data = ActionRequestedData(
        action=action.action,
        pipeline=action.pipeline or None,
        stage=action.stage or None,
        requested_by=action.requested_by,
    )
    event = make(
        ActionRequested, data, source=SOURCE, subject=action.id, time=action.requested_at, id=f"{action.id}.requested"
    )
    return validated(event)
