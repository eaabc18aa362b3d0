"""Series that a selector of counters matches, as input for tests."""

import itertools
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import promql_parser as parser

from jelmon.catalogue import BY_SERIES, EVENTS_LOST, Service
from jelmon_generators.promql.series import Series

Labels = dict[str, str]
Closed = tuple[tuple[str, tuple[str, ...]], ...]
"""The values of labels that can have no others."""


def counted_labels(text: str, known: Mapping[str, Series], *, unlike: str = "") -> Mapping[str, str] | None:
    """Return labels of a series that the selector matches and, if possible, ``unlike`` does not.

    None: unknown, because Python would read a regular expression differently, or none of the candidates matches.
    """
    return _counted_labels(text, unlike, closed_of(text, known))


def closed_of(text: str, known: Mapping[str, Series]) -> Closed:
    """Return the values that labels of what a selector reads can have, where that is known."""
    metric = known.get(series_name(text))
    return tuple(metric.closed.items()) if metric else ()


@lru_cache(maxsize=16)  # called for each row
def _counted_labels(text: str, unlike: str, closed: Closed) -> Mapping[str, str] | None:
    wanted, unwanted = _matchers(text), _matchers(unlike) if unlike and series_name(unlike) == series_name(text) else []
    names = sorted({matcher.name for matcher in (*wanted, *unwanted)})
    best: Labels | None = None
    if not all(_portable(matcher) for matcher in (*wanted, *unwanted)):
        return None
    for values in itertools.product(*(_candidates(name, closed, wanted + unwanted) for name in names)):
        labels = dict(zip(names, values, strict=True))
        if all(_matches(matcher, labels) for matcher in wanted):
            best = labels
            if not unwanted or not all(_matches(matcher, labels) for matcher in unwanted):
                break
    return best


def _candidates(label: str, closed: Closed, matchers: list[Any]) -> list[str]:
    """Return candidate values of a label: those that it can have, those in the matchers, and another one."""
    values = [matcher.value for matcher in matchers if matcher.name == label]
    written = [word for value in values for word in (value, *value.split("|"))]
    return [*dict(closed).get(label, ()), *written, f"a-{label}"]


def _portable(matcher: Any) -> bool:
    """Return whether Python and Go read the matcher alike, as far as can be told."""
    return matcher.op in (parser.MatchOp.Equal, parser.MatchOp.NotEqual) or not re.search(
        r"\(\?|\[\[|\\[^.\-]", matcher.value
    )


def _matches(matcher: Any, labels: Labels) -> bool:
    value = labels.get(matcher.name, "")
    match matcher.op:
        case parser.MatchOp.Equal:
            return bool(value == matcher.value)
        case parser.MatchOp.NotEqual:
            return bool(value != matcher.value)
        case parser.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
    return re.fullmatch(matcher.value, value) is None


def _matchers(text: str) -> list[Any]:
    tree: Any = parser.parse(text)
    return list(tree.matchers.matchers)


def series_name(text: str) -> str:
    """Return the series that a selector reads."""
    return text.split("{")[0]


def job_of(text: str, known: Mapping[str, Series]) -> str:
    """Return the job that exposes what a selector reads."""
    metric = known.get(series_name(text))
    return (metric.job if metric else None) or "a-job"


def page_of(text: str) -> str:
    """Return a series that is on every page with the counters that a selector reads."""
    metric = BY_SERIES.get(series_name(text))
    return EVENTS_LOST.name if metric is not None and metric.service is Service.EXPORTER else "up"


def counts_too(text: str, name: str, labels: Mapping[str, str]) -> bool:
    """Return whether a selector matches a series."""
    return series_name(text) == name and all(_matches(matcher, dict(labels)) for matcher in _matchers(text))


def not_counted(text: str, name: str, labels: Mapping[str, str], closed: Closed) -> Iterator[Labels]:
    """Yield the labels of a series that a selector matches, with one changed so that it does not."""
    matchers = _matchers(text)
    if not counts_too(text, name, labels) or not all(map(_portable, matchers)):
        return
    for matcher in matchers:
        for value in _candidates(matcher.name, closed, matchers):
            changed = {**labels, matcher.name: value}
            if not _matches(matcher, changed):
                yield changed
                break
