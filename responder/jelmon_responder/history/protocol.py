"""The interface of the alert history, which both databases implement, and the records it stores."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from jelmon.events import Outcome
from jelmon_responder.alerts import Status
from jelmon_responder.history.episode import Episode, Key
from jelmon_responder.history.fold import Folded

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
EMAIL_WINDOW = timedelta(hours=1)
"""The e-mail budget counts the e-mails of this period."""
UNFINISHED_AFTER = timedelta(minutes=10)
"""An e-mail without an outcome for this long was being sent when its responder died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which rows to read. ``since``: alerts that were firing at or after that time, whenever they started."""

    alertname: str | None = None
    pipeline: str | None = None
    status: Status | None = None
    since: datetime | None = None
    limit: int = DEFAULT_LIMIT

    def conditions(self) -> list[tuple[str, str, Any]]:
        """Return SQL conditions with ``{}`` for the placeholder, the name of their parameter, and its value."""
        conditions = [
            ("alertname = {}", "alertname", self.alertname),
            ("pipeline = {}", "pipeline", self.pipeline),
            ("status = {}", "status", self.status),
            ("(ends_at IS NULL OR ends_at >= {})", "since", self.since),
        ]
        return [condition for condition in conditions if condition[2] is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of the action log. ``outcome`` is None until the action is published, refused or abandoned.

    ``attempted_at`` is when a responder was about to publish it: from then on it is never published again.
    """

    id: str
    action: str
    requested_by: str
    fingerprint: str
    starts_at: datetime
    pipeline: str
    stage: str
    requested_at: datetime
    outcome: Outcome | None = None
    finished_at: datetime | None = None
    detail: str = ""
    attempted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One e-mail text, stored until it has been sent; a row of the table ``notice``."""

    id: str
    created_at: datetime
    urgent: bool
    subject: str
    body: str


Email = tuple[Notification, ...]
"""Notifications that are sent together; a row of the table ``letter``."""


EmailOutcome = Literal["sent", "failed", "refused"]
"""``failed``: its notifications wait again. ``refused``: the mail server will never accept it; it is set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedEmail:
    """An e-mail that was set aside, and the mail server's reason."""

    id: str
    refused_at: datetime
    reason: str
    notifications: Email


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one call writes, in one transaction."""

    folded: Folded
    actions: Collection[Action] = ()
    notifications: Collection[Notification] = ()


Fold = Callable[[list[Episode]], Entry]
"""Maps the current rows to what must be written."""
Select = Callable[[list[Notification], list[datetime], datetime], list[Email]]
"""Maps waiting notifications, the send times of the last hour's e-mails and the time to the e-mails to send now."""


class AlertHistory(Protocol):
    """Storage of alerts, actions and e-mail.

    Every method raises `SourceError` while the database does not respond; the next call tries again.
    """

    kind: str
    """``sqlite`` or ``postgresql``."""

    async def start(self) -> None:
        """Connect and migrate the schema. Raise `ConfigError` if that can never work."""

    async def stop(self) -> None:
        """Close all connections and threads."""

    async def amend(self, keys: Collection[Key], fold: Fold, *, and_firing: bool = False) -> Folded:
        """Read, fold and write in one transaction, as the only writer; on return the rows are on disk.

        The rows passed to ``fold`` are those with the keys and, for their fingerprints, the firing and the newest
        rows; with ``and_firing`` also all other firing rows.
        """

    async def read(self, query: Query) -> list[Episode]:
        """Return rows, newest start first."""

    async def firing(self) -> dict[str, int]:
        """Return the number of firing alerts by severity as stored."""

    async def actions(self, *, pending: bool, limit: int = DEFAULT_LIMIT) -> list[Action]:
        """Return actions, newest first; if ``pending``, only those without an outcome, oldest first."""

    async def attempt_action(self, action_id: str, *, now: datetime) -> bool:
        """Store that the action is about to be published; return False if it has been before, here or elsewhere."""

    async def finish_action(self, action: Action) -> None:
        """Store the outcome, detail and finish time of an action."""

    async def claim_emails(self, select: Select, *, now: datetime) -> dict[str, Email]:
        """Claim waiting notifications for sending, exclusively; return e-mails by id.

        An e-mail counts against the budget until it has failed or is refused.
        """

    async def finish_email(self, email_id: str, outcome: EmailOutcome, *, reason: str = "") -> None:
        """Store the outcome of an e-mail; ``reason`` is the mail server's, of a refused one."""

    async def refused_emails(self, *, limit: int = DEFAULT_LIMIT) -> list[RefusedEmail]:
        """Return the e-mails that were set aside, newest first."""

    async def retry_refused_emails(self) -> int:
        """Let the notifications of all e-mails that were set aside wait again; return how many e-mails that were."""
