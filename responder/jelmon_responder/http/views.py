"""The alert history as JSON and as an HTML page."""

import html
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError, JelmonError
from jelmon_responder.alerts import Status, known_severity, rfc3339, without_nul
from jelmon_responder.history.episode import Episode
from jelmon_responder.history.protocol import DEFAULT_LIMIT, MAX_LIMIT, Query

PARAMETERS = ("alertname", "pipeline", "status", "since", "limit")


class QueryError(JelmonError):
    """A parameter of a request is invalid."""


def read_query(parameters: Mapping[str, str], *, now: datetime) -> Query:
    """Return the query of a request. ``since`` is a time (RFC 3339) or a duration before now (``24h``).

    Raises:
        QueryError: an unknown parameter or an invalid value; the message says which.
    """
    unknown = sorted(parameters.keys() - set(PARAMETERS))
    if unknown:
        raise QueryError(f"unknown parameter {unknown[0]!r}", hint=f"one of {', '.join(PARAMETERS)}")
    status = parameters.get("status")
    if status and status not in tuple(Status):
        raise QueryError(f"unknown status {status!r}", hint=f"one of {', '.join(Status)}")
    return Query(
        alertname=_text(parameters, "alertname"),
        pipeline=_text(parameters, "pipeline"),
        status=Status(status) if status else None,
        since=_since(parameters.get("since"), now),
        limit=_limit(parameters.get("limit")),
    )


def _text(parameters: Mapping[str, str], name: str) -> str | None:
    return without_nul(parameters[name]) if parameters.get(name) else None


def _since(text: str | None, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        # a + that is not escaped in the URL arrives as a space
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return now - timedelta(seconds=parse_duration(text, name="since"))
    except (ConfigError, OverflowError) as error:
        raise QueryError(
            f"since: {text!r} is neither a time nor a duration", hint="write 2026-01-31T12:00:00Z, or 24h"
        ) from error


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise QueryError(f"limit: {text!r} is not a number from 1 to {MAX_LIMIT}")
    return int(text)


def as_json(episodes: Iterable[Episode]) -> list[dict[str, Any]]:
    """Return rows for JSON; times in RFC 3339, UTC."""
    return [
        {
            "alertname": row.alertname,
            "status": row.status,
            "severity": row.severity,
            "pipeline": row.pipeline,
            "stage": row.stage,
            "starts_at": rfc3339(row.starts_at),
            "ends_at": rfc3339(row.ends_at) if row.ends_at else None,
            "duration_seconds": row.duration_seconds,
            "closed_by": row.closed_by,
            "escalation_level": row.escalation_level,
            "receiver": row.receiver,
            "notifications": row.notifications,
            "first_seen": rfc3339(row.first_seen),
            "last_seen": rfc3339(row.last_seen),
            "fingerprint": row.fingerprint,
            "labels": dict(row.labels),
            "annotations": dict(row.annotations),
        }
        for row in episodes
    ]


def as_html(episodes: Iterable[Episode], *, now: datetime) -> str:
    """Return rows as a table, with all text escaped."""
    rows = "".join(_html_row(row, now) for row in episodes)
    filters = (
        '<p>Show: <a href="/alerts">newest</a> | <a href="/alerts?status=firing">firing</a> '
        '| <a href="/alerts?status=resolved">resolved</a> | <a href="/alerts?since=24h">last day</a></p>'
    )
    if not rows:
        return f"{filters}<p>No alerts.</p>"
    heads = "".join(
        f"<th>{name}</th>" for name in ("Start (UTC)", "State", "Severity", "Alert", "Where", "Duration", "")
    )
    return f"{filters}<table><tr>{heads}</tr>{rows}</table>"


def _html_row(row: Episode, now: datetime) -> str:
    is_firing = row.status is Status.FIRING
    state = "firing" if is_firing else f"resolved ({row.closed_by})" if row.closed_by != "resolved" else "resolved"
    duration = (now - row.starts_at).total_seconds() if is_firing else row.duration_seconds
    name = row.alertname or "(no name)"
    if row.escalation_level:
        name += f" (level {row.escalation_level})"
    cells = (
        row.starts_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        state,
        known_severity(row.severity),
        name + (" (test alert)" if row.is_drill else ""),
        " / ".join(filter(None, (row.pipeline, row.stage))),
        "" if duration is None else human_duration(duration),
        row.annotations.get("summary", "")[:300],
    )
    marks = ("", " class=bad" if is_firing and row.severity != "none" else "", "", "", "", " class=number", "")
    return f"<tr>{''.join(f'<td{m}>{html.escape(cell)}</td>' for m, cell in zip(marks, cells, strict=True))}</tr>"


def human_duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``2h 5m``."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])
