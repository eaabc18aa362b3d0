"""Follows one alert along its path: event, metric, rule, Alertmanager, responder, alert history.

Each step asks the service itself, through its public interface.
"""

import contextlib
import http.client
import json
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jelmon.errors import plural

ALERT = "PipelineStalled"
_TIMEOUT_SECONDS = 3.0
NO_ANSWER = (OSError, ValueError, KeyError, http.client.HTTPException, sqlite3.Error)
"""Errors of a service that is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the services of a running demo answer."""

    exporter: str
    analyzer: str
    responder: str
    prometheus: str
    alertmanager: str
    board: str
    nats: str
    history: str  # postgresql:// or sqlite:///
    pipeline: str
    reader: str | None = None
    """A Prometheus without data that reads from the store; None if there is no store."""


@dataclass(slots=True)
class Step:
    """One step of the path. ``seen_at`` is in seconds of the monotonic clock, None until seen."""

    name: str
    probe: Callable[[], str | None]  # what was seen, or None
    seen_at: float | None = None
    evidence: str = ""


@dataclass(slots=True)
class Proof:
    """The steps in order; each is checked only after those before it have been seen."""

    steps: list[Step]
    aftermath: list[Step] = field(default_factory=list)
    """What follows once the pipeline moves again; a demo that ends before is complete without it."""
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, addresses: Addresses) -> "Proof":
        """Return the steps for the services at these addresses."""
        steps = [
            Step("event counted by the exporter", lambda: _event(addresses)),
            Step("metric shows no activity beyond the limit", lambda: _metric(addresses)),
            Step(f"rule {ALERT} fires in Prometheus", lambda: _rule(addresses)),
            Step("alert is active in Alertmanager", lambda: _alertmanager(addresses)),
            Step("responder received the webhook", lambda: _responder(addresses)),
            Step("row in the alert history", lambda: _history(addresses)),
        ]
        if addresses.reader is not None:
            steps.append(Step("samples in the store, by SQL", lambda: _stored(addresses)))
            steps.append(Step("the same samples by a query with remote read", lambda: _read_back(addresses)))
        return cls(
            steps,
            [
                Step("pipeline recovered", lambda: _recovered(addresses)),
                Step("alert resolved in the alert history", lambda: _resolved(addresses)),
            ],
        )

    @property
    def complete(self) -> bool:
        """Return whether every step has been seen."""
        return all(step.seen_at is not None for step in self.steps)

    def advance(self) -> list[Step]:
        """Check the steps not seen yet; return those seen now."""
        fresh: list[Step] = []
        for step in (*self.steps, *self.aftermath):
            if step.seen_at is not None:
                continue
            try:
                evidence = step.probe()
            except NO_ANSWER:
                evidence = None
            if evidence is None:
                break
            step.seen_at, step.evidence = time.monotonic(), evidence
            fresh.append(step)
        return fresh


def get_json(url: str) -> Any:
    """Return the JSON at the URL.

    Raises:
        OSError, http.client.HTTPException: no answer, or not 2xx.
        ValueError: not JSON.
    """
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
        return json.load(response)


def query(prometheus: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Return the result of an instant query as labels and values."""
    answer = get_json(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]


def _event(addresses: Addresses) -> str | None:
    with urllib.request.urlopen(f"{addresses.exporter}/metrics", timeout=_TIMEOUT_SECONDS) as response:
        lines = response.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("jelmore_exporter_events_applied_total{")]
    applied = sum(float(line.rsplit(" ", 1)[1]) for line in counts)
    return f"{plural(round(applied), 'event')} so far" if applied else None


def _metric(addresses: Addresses) -> str | None:
    selector = f'{{pipeline="{addresses.pipeline}"}}'
    idle = query(addresses.prometheus, f"time() - max(jelmore_pipeline_last_activity_timestamp_seconds{selector})")
    limit = query(addresses.prometheus, f"max(jelmore_pipeline_stall_limit_seconds{selector})")
    if not idle or not limit or idle[0][1] <= limit[0][1]:
        return None
    return f"{idle[0][1]:.0f} s without activity, declared limit {limit[0][1]:.0f} s"


def _rule(addresses: Addresses) -> str | None:
    for alert in get_json(f"{addresses.prometheus}/api/v1/alerts")["data"]["alerts"]:
        if _is_ours(alert["labels"], addresses) and alert["state"] == "firing":
            return f"active since {alert['activeAt'][:19]}Z"
    return None


def _alertmanager(addresses: Addresses) -> str | None:
    for alert in get_json(f"{addresses.alertmanager}/api/v2/alerts"):
        if _is_ours(alert["labels"], addresses):
            return "for " + ", ".join(sorted(receiver["name"] for receiver in alert["receivers"]))
    return None


def _responder(addresses: Addresses) -> str | None:
    answer = get_json(f"{addresses.responder}/api/v1/alerts?alertname={ALERT}&pipeline={addresses.pipeline}")
    for alert in answer["alerts"]:
        if alert["status"] == "firing":
            return f"status {alert['status']}, severity {alert['severity']}"
    return None


def _recovered(addresses: Addresses) -> str | None:
    selector = f'{{pipeline="{addresses.pipeline}"}}'
    ended = query(addresses.prometheus, f"sum(increase(jelmore_cards_finished_total{selector}[30s]))")
    return "cards are finished again" if ended and ended[0][1] > 0 else None


def _resolved(addresses: Addresses) -> str | None:
    answer = get_json(f"{addresses.responder}/api/v1/alerts?alertname={ALERT}&pipeline={addresses.pipeline}")
    states = [alert["status"] for alert in answer["alerts"]]
    return "by Alertmanager's second webhook" if "resolved" in states and "firing" not in states else None


def _history(addresses: Addresses) -> str | None:
    """Query the database, not the responder."""
    if addresses.history.startswith("sqlite:///"):
        file = f"file:{addresses.history.removeprefix('sqlite:///')}?mode=ro"
        with contextlib.closing(sqlite3.connect(file, uri=True)) as connection:
            select = "SELECT count(*) FROM alert_history WHERE alertname = ? AND pipeline = ?"
            count = connection.execute(select, (ALERT, addresses.pipeline)).fetchone()[0]
        return f"{count} in SQLite" if count else None
    import psycopg

    try:
        with psycopg.connect(addresses.history, connect_timeout=3) as connection:
            row = connection.execute(
                "SELECT count(*) FROM jelmore.alert_history WHERE alertname = %s AND pipeline = %s",
                (ALERT, addresses.pipeline),
            ).fetchone()
    except psycopg.Error:
        return None
    return f"{row[0]} in PostgreSQL" if row and row[0] else None


_STORED_METRIC = "jelmore_cards_in_progress"


def _stored(addresses: Addresses) -> str | None:
    """Query the tables, not the store."""
    import psycopg

    try:
        with psycopg.connect(addresses.history, connect_timeout=3) as connection:
            row = connection.execute(
                "SELECT count(*), max(time) FROM jelmore.samples JOIN jelmore.series USING (series_id) "
                "JOIN jelmore.metrics USING (metric_id) WHERE name = %s AND labels->>'pipeline' = %s",
                (_STORED_METRIC, addresses.pipeline),
            ).fetchone()
    except psycopg.Error:
        return None
    return f"{row[0]} of {_STORED_METRIC}, the last at {row[1]:%H:%M:%S}" if row and row[0] else None


def _read_back(addresses: Addresses) -> str | None:
    assert addresses.reader is not None
    selector = f'{_STORED_METRIC}{{pipeline="{addresses.pipeline}"}}'
    counts = query(addresses.reader, f"sum(count_over_time({selector}[1h]))")
    return f"{counts[0][1]:.0f} of {_STORED_METRIC}, from a Prometheus without data" if counts else None


def _is_ours(labels: dict[str, str], addresses: Addresses) -> bool:
    return labels.get("alertname") == ALERT and labels.get("pipeline") == addresses.pipeline
