"""The alert history: every test runs with SQLite and with a real PostgreSQL."""

import asyncio
import sqlite3
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jelmon.errors import ConfigError, SourceError
from jelmon.events import Outcome
from jelmon_responder.alerts import Alert, Delivery, Status
from jelmon_responder.history.episode import Episode
from jelmon_responder.history.fold import Folded, fold_active, fold_delivery
from jelmon_responder.history.migrations import SCHEMA
from jelmon_responder.history.open import open_history
from jelmon_responder.history.protocol import Action, AlertHistory, Email, Entry, Notification, Query
from jelmon_responder.history.sqlite import SqliteHistory

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=6)
LABELS = {"alertname": "PipelineStalled", "severity": "critical", "pipeline": "review", "stage": "build"}


def firing(minute: float = 0, fingerprint: str = "f1", **labels: str) -> Alert:
    return Alert(fingerprint=fingerprint, starts_at=NOON + timedelta(minutes=minute), labels=LABELS | labels)


def over(alert: Alert, minutes: float = 10) -> Alert:
    return replace(alert, status=Status.RESOLVED, ends_at=alert.starts_at + timedelta(minutes=minutes))


async def deliver(
    history: AlertHistory, *alerts: Alert, now: datetime = NOW, actions: Collection[Action] = ()
) -> Folded:
    delivery = Delivery(receiver="r", alerts=alerts)
    return await history.amend(
        [(alert.fingerprint, alert.starts_at) for alert in alerts],
        lambda rows: Entry(folded=fold_delivery(rows, delivery, now=now), actions=actions),
    )


async def reconcile(history: AlertHistory, active: dict[str, list[datetime]]) -> None:
    keys = [(fingerprint, start) for fingerprint, starts in active.items() for start in starts]
    polled_at = NOW + timedelta(hours=1)
    await history.amend(
        keys, lambda rows: Entry(folded=fold_active(rows, active, polled_at=polled_at)), and_firing=True
    )


async def test_a_row_comes_back_as_it_was_written(history: AlertHistory) -> None:
    """Every column is stored, for a firing and for a resolved alert."""
    folded = await deliver(
        history, firing(escalation_level="2"), over(firing(-60.000001, "f2")), now=NOW.replace(microsecond=123457)
    )

    expected = sorted(folded.episodes.values(), key=lambda row: row.starts_at, reverse=True)
    assert expected == await history.read(Query())


async def test_the_same_call_twice_is_one_row(history: AlertHistory) -> None:
    """A repeat updates the row; only the first call is news."""
    first = await deliver(history, firing())
    second = await deliver(history, firing(), now=NOW + timedelta(minutes=5))

    (row,) = await history.read(Query())
    assert (len(first.changes), len(second.changes)) == (1, 0)
    assert (2, NOW, NOW + timedelta(minutes=5)) == (row.notifications, row.first_seen, row.last_seen)


async def test_an_end_closes_the_row(history: AlertHistory) -> None:
    """Firing, then resolved: one row, with both times."""
    await deliver(history, firing())
    await deliver(history, over(firing()))

    (row,) = await history.read(Query())
    assert (Status.RESOLVED, NOON, NOON + timedelta(minutes=10)) == (row.status, row.starts_at, row.ends_at)
    assert await history.firing() == {}


async def test_an_older_row_is_known_to_a_later_call(history: AlertHistory) -> None:
    """The fold receives the firing rows and the newest one."""
    await deliver(history, firing(0))
    await deliver(history, firing(30))
    await deliver(history, over(firing(30)))
    await deliver(history, firing(15))

    rows = await history.read(Query())
    assert [(row.closed_by, (row.starts_at - NOON).total_seconds() / 60) for row in rows] == [
        ("resolved", 30),
        ("superseded", 15),
        ("superseded", 0),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(Query(), ["f3", "f2", "f1"], id="newest first"),
        pytest.param(Query(limit=2), ["f3", "f2"], id="as many as asked for"),
        pytest.param(Query(alertname="Other"), ["f3"], id="by name"),
        pytest.param(Query(pipeline="deploy"), ["f2"], id="by pipeline"),
        pytest.param(Query(status=Status.FIRING), ["f3", "f1"], id="what fires"),
        pytest.param(Query(status=Status.RESOLVED), ["f2"], id="what is over"),
        pytest.param(Query(since=NOON + timedelta(minutes=15)), ["f3", "f2", "f1"], id="what fired since"),
        pytest.param(Query(since=NOON + timedelta(minutes=21)), ["f3", "f1"], id="not what was over before"),
        pytest.param(Query(pipeline="review", status=Status.RESOLVED), [], id="all conditions at once"),
        pytest.param(Query(alertname="x' OR '1'='1"), [], id="a value is no SQL"),
        pytest.param(Query(since=datetime.max.replace(tzinfo=UTC)), ["f3", "f1"], id="the end of the calendar"),
        pytest.param(Query(since=datetime.min.replace(tzinfo=UTC)), ["f3", "f2", "f1"], id="its beginning"),
    ],
)
async def test_queries(history: AlertHistory, query: Query, expected: list[str]) -> None:
    """Filters choose rows; the newest start comes first."""
    await deliver(
        history,
        firing(0, "f1"),
        over(firing(10, "f2", pipeline="deploy")),
        firing(20, "f3", alertname="Other"),
    )

    assert expected == [row.fingerprint for row in await history.read(query)]


HOSTILE = {
    "quotes": "'; DROP TABLE alert_history; --",
    "replaced NUL": "a\ufffdb",
    "right to left": "\u202eabc\u200b",
    "emoji": "\U0001f9d1\u200d\U0001f692",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "controls": "\x01\x08\x1f\x7f\r\n\t",
    "percent": "%s %(x)s {} {{0}}",
    "long": "é" * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_any_text_is_kept(history: AlertHistory, text: str) -> None:
    """Labels are kept whole; the columns hold what an index can take."""
    alert = replace(firing(alertname=text, severity=text, pipeline=text, stage=text), annotations={text: text})
    await deliver(history, alert)

    (row,) = await history.read(Query(alertname=text[:512]))
    assert (alert.labels, alert.annotations) == (row.labels, row.annotations)
    assert {text[:512]: 1} == await history.firing()


@pytest.mark.parametrize("starts_at", [datetime.min, datetime.max, datetime(1969, 7, 20)])
async def test_any_time_is_kept(history: AlertHistory, starts_at: datetime) -> None:
    """The calendar's first and last microsecond included."""
    alert = replace(firing(), starts_at=starts_at.replace(tzinfo=UTC))
    await deliver(history, alert)
    await deliver(history, alert)

    (row,) = await history.read(Query())
    assert (alert.starts_at, 2) == (row.starts_at, row.notifications)


async def test_ten_thousand_alerts_in_one_call(history: AlertHistory) -> None:
    """All alerts of a storm are stored, and repeating them adds no rows."""
    storm = [firing(number, f"f{number}") for number in range(10_000)]
    await deliver(history, *storm)
    again = await deliver(history, *storm)

    assert (await history.firing(), again.changes) == ({"critical": 10_000}, [])


async def test_writers_take_turns(history_url: str) -> None:
    """Two responders on one database count every notification, and only one of them reports the change."""
    histories = [open_history(history_url) for _ in range(2)]
    await asyncio.gather(*(history.start() for history in histories))
    try:
        folds = await asyncio.gather(*(deliver(histories[number % 2], firing()) for number in range(20)))

        (row,) = await histories[0].read(Query())
        assert (row.notifications, sum(len(folded.changes) for folded in folds)) == (20, 1)
    finally:
        await asyncio.gather(*(history.stop() for history in histories))


async def test_a_failed_fold_writes_nothing(history: AlertHistory) -> None:
    """The transaction is atomic, and the history works afterwards."""

    def broken(rows: list[Episode]) -> Entry:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await history.amend([("f1", NOON)], broken)
    await deliver(history, firing())

    assert len(await history.read(Query())) == 1


async def test_the_history_outlives_the_responder(history_url: str) -> None:
    """Rows survive a restart; migrations are applied once."""
    for expected in (1, 2):
        history = open_history(history_url)
        await history.start()
        await deliver(history, firing())
        (row,) = await history.read(Query())
        await history.stop()

        assert expected == row.notifications


async def test_what_alertmanager_lost_is_closed(history: AlertHistory) -> None:
    """All firing rows are compared, including those of alerts that Alertmanager does not list."""
    await deliver(history, firing(0, "f1"), firing(0, "f2"), over(firing(0, "f3")))
    await reconcile(history, {"f2": [NOON]})

    rows = await history.read(Query())
    assert {row.fingerprint: row.closed_by for row in rows} == {"f1": "reconciled", "f2": None, "f3": "resolved"}


async def test_what_alertmanager_has_is_open(history: AlertHistory) -> None:
    """A start that moved to an earlier time (two Prometheus servers disagree) ends up right."""
    await deliver(history, firing(5))
    await deliver(history, firing(4))
    await reconcile(history, {"f1": [NOON + timedelta(minutes=4)]})

    rows = await history.read(Query())
    assert [(row.starts_at, row.closed_by) for row in rows] == [
        (NOON + timedelta(minutes=5), "reconciled"),
        (NOON + timedelta(minutes=4), None),
    ]


async def test_an_action_is_requested_once(history: AlertHistory) -> None:
    """The log keeps the first request; it is pending until it has an outcome."""
    action = Action(
        id="a1",
        action="scale_up",
        requested_by="PipelineStalled",
        fingerprint="f1",
        starts_at=NOON,
        pipeline="review",
        stage="build",
        requested_at=NOW,
    )
    await deliver(history, firing(), actions=[action])
    await deliver(history, firing(), actions=[replace(action, requested_at=NOW + timedelta(hours=1))])

    assert [action] == await history.actions(pending=True)
    done = replace(action, outcome=Outcome.SUCCESS, finished_at=NOW, detail="published")
    await history.finish_action(done)
    await deliver(history, firing(), actions=[action])
    assert ([], [done]) == (await history.actions(pending=True), await history.actions(pending=False))


def notification(number: int, *, urgent: bool = False) -> Notification:
    created = NOW + timedelta(seconds=number)
    return Notification(id=f"n{number}", created_at=created, urgent=urgent, subject=f"s{number}", body="b")


def each(waiting: list[Notification], left: list[datetime], now: datetime) -> list[Email]:
    """Select an e-mail for each notification."""
    return [(item,) for item in waiting]


async def test_notifications_wait_until_their_email_is_sent(history: AlertHistory) -> None:
    """Claimed notifications are not claimed again, failed ones are; sent e-mails count, failed ones do not."""
    kept = [notification(1), notification(2, urgent=True)]
    await history.amend([], lambda rows: Entry(folded=Folded(), notifications=kept))
    claimed = await history.claim_emails(each, now=NOW)
    assert sorted(email[0].id for email in claimed.values()) == ["n1", "n2"]
    assert {kept[0], kept[1]} == {email[0] for email in claimed.values()}
    assert await history.claim_emails(each, now=NOW) == {}
    by_id = {email[0].id: name for name, email in claimed.items()}
    await history.finish_email(by_id["n1"], "sent")
    await history.finish_email(by_id["n2"], "failed")
    seen: list[datetime] = []

    def look(waiting: list[Notification], left: list[datetime], now: datetime) -> list[Email]:
        seen.extend(left)
        return each(waiting, left, now)

    again = await history.claim_emails(look, now=NOW + timedelta(minutes=1))

    assert (list(again.values()), seen) == ([(kept[1],)], [NOW])


async def test_an_unfinished_email_is_sent_again(history: AlertHistory) -> None:
    """A responder that died while sending loses no notification, and its e-mail counts as sent."""
    await history.amend([], lambda rows: Entry(folded=Folded(), notifications=[notification(1)]))
    await history.claim_emails(each, now=NOW)
    assert await history.claim_emails(each, now=NOW + timedelta(minutes=9)) == {}
    seen: list[datetime] = []

    def look(waiting: list[Notification], left: list[datetime], now: datetime) -> list[Email]:
        seen.extend(left)
        return each(waiting, left, now)

    again = await history.claim_emails(look, now=NOW + timedelta(minutes=11))

    assert (list(again.values()), seen) == ([(notification(1),)], [NOW])


# --- PostgreSQL alone ---

_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_postgres_a_broken_connection_is_replaced(postgres_dsn: str) -> None:
    """A server that was restarted is used again at the next call, without loss."""
    history = open_history(postgres_dsn)
    await history.start()
    try:
        await deliver(history, firing())
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            admin.execute(_END_OTHERS)
        await deliver(history, firing())

        (row,) = await history.read(Query())
        assert row.notifications == 2
    finally:
        await history.stop()


async def test_postgres_unavailable_is_a_temporary_error(postgres_dsn: str) -> None:
    """The message names the cause; the same object works once the database is back."""
    server, name = postgres_dsn.rsplit("/", 1)
    history = open_history(postgres_dsn)
    await history.start()
    try:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            with pytest.raises(SourceError, match="the alert history is unavailable"):
                await deliver(history, firing())
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await deliver(history, firing())

        assert len(await history.read(Query())) == 1
    finally:
        await history.stop()


async def test_postgres_needs_only_the_documented_rights(postgres_dsn: str, root: Path) -> None:
    """The statements in docs/responder.md create a role that can write the history and do nothing else."""
    text = (root / "docs" / "responder.md").read_text(encoding="utf-8")
    grants = text.split("<!-- roles -->")[1].split("```sql\n")[1].split("```")[0]
    owner = open_history(postgres_dsn)
    await owner.start()
    await owner.stop()
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS jelmon_responder")
        admin.execute(grants)
    history = open_history(postgres_dsn.replace("//jelmon@", "//jelmon_responder@"))
    try:
        await history.start()
        await deliver(history, firing())
        await reconcile(history, {})
        assert await history.actions(pending=True) == []
        with psycopg.connect(postgres_dsn.replace("//jelmon@", "//jelmon_responder@"), autocommit=True) as limited:
            for forbidden in (
                "DELETE FROM jelmore.alert_history",
                "DROP TABLE jelmore.action_log",
                "CREATE TABLE x ()",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    limited.execute(forbidden)
    finally:
        await history.stop()
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            admin.execute("DROP OWNED BY jelmon_responder")
            admin.execute("DROP ROLE jelmon_responder")


async def test_a_database_of_a_newer_program_is_refused(history_url: str) -> None:
    """An older program does not write to tables of a newer schema."""
    history = open_history(history_url)
    await history.start()
    await history.stop()
    version = len(SCHEMA.migrations("postgresql")) + 1
    if history_url.startswith("sqlite"):
        with sqlite3.connect(history_url.removeprefix("sqlite://")) as file:
            file.execute(f"PRAGMA user_version = {version}")
        file.close()
    else:
        with psycopg.connect(history_url) as server:
            server.execute(
                "INSERT INTO jelmore.schema_migrations (component, version, name) VALUES ('responder', %s, 'x')",
                (version,),
            )
    history = open_history(history_url)

    with pytest.raises(ConfigError, match="a newer jelmon") as caught:
        await history.start()
    await history.stop()

    assert f"schema version {version}" in caught.value.message


def test_both_databases_have_the_same_migrations() -> None:
    """A step that one database lacks would be noticed only in production."""
    steps = {kind: [(step.version, step.name) for step in SCHEMA.migrations(kind)] for kind in ("sqlite", "postgresql")}

    assert steps["sqlite"] == steps["postgresql"]


# --- SQLite alone ---


async def test_sqlite_held_by_another_program(tmp_path: Path) -> None:
    """A locked file is an error that may pass."""
    path = tmp_path / "history.db"
    history = SqliteHistory(path, busy_timeout=0.05)
    await history.start()
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SourceError, match="locked"):
            await deliver(history, firing())
        other.execute("ROLLBACK")
        await deliver(history, firing())

        assert len(await history.read(Query())) == 1
    finally:
        other.close()
        await history.stop()


async def test_sqlite_commits_survive_a_power_cut(tmp_path: Path) -> None:
    """The log is written ahead and synced at each commit."""
    history = SqliteHistory(tmp_path / "history.db")
    await history.start()
    try:
        modes = await history._database.read(
            lambda connection: [
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
            ]
        )

        assert modes == ["wal", 2]
    finally:
        await history.stop()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("history.db", "unsupported database", id="no scheme"),
        pytest.param("mysql://localhost/x", "unsupported database 'mysql:'", id="another database"),
        pytest.param("sqlite:", "does not name a file", id="no file"),
        pytest.param("sqlite://history.db", "does not name a file", id="a host instead of a file"),
        pytest.param("sqlite:///nowhere/at/all/history.db", "does not exist", id="no folder"),
        pytest.param("sqlite:///", "cannot use", id="a folder"),
        pytest.param("sqlite:///etc/passwd", "cannot use", id="a file of another kind"),
        pytest.param("postgresql://localhost/x?flavour=sweet", "not a PostgreSQL URL", id="an unknown parameter"),
    ],
)
async def test_an_invalid_history_url(url: str, message: str) -> None:
    """Each mistake has its message and a hint."""
    with pytest.raises(ConfigError, match=message) as caught:
        await _opened(url)

    assert caught.value.hint


async def _opened(url: str) -> Any:
    history = open_history(url)
    try:
        await history.start()
    finally:
        await history.stop()
