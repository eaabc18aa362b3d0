"""Finds the series of a query. PostgreSQL narrows them down by index; RE2 decides what its own regexes cannot."""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from jelmon_store.read.matchers import METRIC_NAME, Matcher, MatcherKind, QueryError, all_match

_FETCHED_AT_ONCE = 5000
Connection = psycopg.Connection[tuple[Any, ...]]


class Series(msgspec.Struct, frozen=True, order=True):
    """A series, in the order of Prometheus: labels by name, then compared pairwise."""

    labels: tuple[tuple[str, str], ...]
    series_id: int


def select_series(connection: Connection, matchers: Sequence[Matcher], *, tenant: str, limit: int) -> list[Series]:
    """Return the series that satisfy every matcher, sorted by their labels.

    Raises:
        QueryError: there are more than ``limit``.
    """
    names = _metrics(connection, [matcher for matcher in matchers if matcher.name == METRIC_NAME])
    rest = [matcher for matcher in matchers if matcher.name != METRIC_NAME]
    if not names:
        return []
    conditions, parameters = ["tenant = %s", "metric_id = ANY (%s)"], [tenant, list(names)]
    undecided = []
    for matcher in rest:
        condition = _condition(matcher, parameters)
        if condition is None:
            undecided.append(matcher)
        else:
            conditions.append(condition)
    sql = f"SELECT series_id, metric_id, labels::text FROM jelmore.series WHERE {' AND '.join(conditions)}"
    decode = msgspec.json.Decoder(dict[str, str]).decode
    selected: list[Series] = []
    # a server-side cursor: what the regexes will drop never has to fit into memory
    with connection.transaction(), connection.cursor(name="series") as cursor:
        cursor.itersize = _FETCHED_AT_ONCE
        cursor.execute(sql, parameters)
        for series_id, metric_id, text in cursor:
            labels = decode(text)
            if all_match(undecided, labels):
                labels[METRIC_NAME] = names[metric_id]
                selected.append(
                    Series(tuple(sorted((name, value) for name, value in labels.items() if value)), series_id)
                )
                if len(selected) > limit:
                    raise QueryError(
                        f"the query selects more than {limit} series",
                        hint="add matchers, or raise --read.max-series",
                    )
    selected.sort()
    return selected


def _metrics(connection: Connection, matchers: Sequence[Matcher]) -> dict[int, str]:
    """Return the names of the metrics that satisfy the matchers of ``__name__``, by id."""
    exact = [matcher.value for matcher in matchers if matcher.kind is MatcherKind.EQUAL]
    where = " WHERE name = ANY (%s)" if exact else ""
    rows = connection.execute(f"SELECT metric_id, name FROM jelmore.metrics{where}", [exact] if exact else None)
    return {metric_id: name for metric_id, name in rows if all(matcher.matches(name) for matcher in matchers)}


def _condition(matcher: Matcher, parameters: list[Any]) -> str | None:
    """Return the SQL of a matcher, or None if RE2 has to decide. Stored labels are never empty."""
    match matcher.kind, matcher.value:
        case MatcherKind.EQUAL, "":
            parameters.append(matcher.name)
            return "NOT labels ? %s"
        case MatcherKind.EQUAL, value:
            parameters.append(Jsonb({matcher.name: value}))
            return "labels @> %s"
        case MatcherKind.NOT_EQUAL, "":
            parameters.append(matcher.name)
            return "labels ? %s"
        case MatcherKind.NOT_EQUAL, value:
            parameters.append(Jsonb({matcher.name: value}))
            return "NOT labels @> %s"
        case _:
            return None
