"""Selectors: the metric, its labels, their values and buckets exist, and no matcher is redundant."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as parser

from jelmon_generators.checks import REGEXP, RETENTION, SELECTOR, SERIES
from jelmon_generators.promql.faults import Fault
from jelmon_generators.promql.series import OPTIONAL_LABELS, Series

OTHERWISE = "docs/metrics.md lists the metrics; declare those of other services in rules/metrics/"
_METACHARACTER = re.compile(r"[.|*+?()\[\]{}\\]")


def name_of(node: Any) -> str | None:
    """Return the metric that a selector reads; None when it names none."""
    if node.name is not None:
        return str(node.name)
    for matcher in all_matchers(node):
        if matcher.name == "__name__" and matcher.op == parser.MatchOp.Equal:
            return str(matcher.value)
    return None


def all_matchers(node: Any) -> list[Any]:
    """Return the matchers of a selector, also of its ``or`` groups."""
    return [*node.matchers.matchers, *(matcher for group in node.matchers.or_matchers for matcher in group)]


def selector_faults(node: Any, name: str | None, retention: float) -> Iterator[Fault]:
    """Yield what is wrong with a selector, whatever its metric is."""
    if node.matchers.or_matchers:
        yield Fault(SELECTOR, "Prometheus has no 'or' between matchers", 'write label=~"a|b"', "or")
    if name is None:
        yield Fault(SELECTOR, "a selector without a metric name", 'name the metric: name{label="value"}')
    elif node.offset is not None and abs(node.offset.total_seconds()) > retention:
        yield Fault(
            RETENTION, f"offset of {node.offset.total_seconds() / 86400:g} d is longer than the retention", "", "offset"
        )


def usual_kind(name: str) -> str:
    """Return the kind that a metric of such a name usually has."""
    if name.endswith("_bucket"):
        return "bucket"
    return "counter" if name.endswith(("_total", "_count", "_sum")) else "gauge"


def unknown_metric(name: str, known: Mapping[str, Series]) -> Fault:
    """Return the fault that a metric does not exist."""
    hint = _did_you_mean(name, known, OTHERWISE)
    if "'jelmore_" in hint and not name.startswith("jelmore"):
        hint += f" {OTHERWISE}"
    return Fault(SERIES, f"unknown metric {name!r}", hint, name)


def matcher_faults(matcher: Any, name: str, series: Series) -> Iterator[Fault]:
    """Yield what is wrong with one matcher of a metric that exists."""
    yield from _regexp_faults(matcher)
    yield from _value_faults(matcher, name, series.closed.get(matcher.name, ()))
    if matcher.name == "le" and matcher.op == parser.MatchOp.Equal:
        yield from _bucket_faults(name, matcher.value, series.buckets)
    if matcher.name != "__name__" and matcher.name not in series.labels | OPTIONAL_LABELS:
        hint = _did_you_mean(matcher.name, series.labels, f"its labels: {', '.join(sorted(series.labels))}")
        yield Fault(SERIES, f"{name} has no label {matcher.name!r}", hint, matcher.name)


def _bucket_faults(name: str, value: str, buckets: tuple[float, ...]) -> Iterator[Fault]:
    """Require a bucket that exists, spelled as the exporter and Prometheus 3.0 or newer spell it: ``30.0``.

    Before 3.0, what another service writes as ``30`` stays so.
    """
    if not buckets:
        return
    bounds = [*(repr(float(bound)) for bound in buckets), "+Inf"]
    if value not in bounds and (name.startswith("jelmore_") or value not in [f"{bound:g}" for bound in buckets]):
        near = f"{value}.0" if f"{value}.0" in bounds else ""
        hint = f"did you mean {near!r}?" if near else f"its buckets: {', '.join(bounds)}"
        yield Fault(SERIES, f"{name} has no bucket with le={value!r}", hint, f'"{value}"')


def _regexp_faults(matcher: Any) -> Iterator[Fault]:
    """Require that a regular expression is needed and states nothing that is true of every matcher."""
    if matcher.op not in (parser.MatchOp.Re, parser.MatchOp.NotRe):
        return
    value = matcher.value
    if value in ("", ".*", ".+"):
        message = f"the matcher {matcher.name}=~{value!r} matches everything or nothing"
        yield Fault(REGEXP, message, "remove it", value)
    elif value.startswith("^") or value.endswith("$"):
        yield Fault(REGEXP, "an anchored matcher", "matchers are always anchored at both ends", value)
    elif not _METACHARACTER.search(value):
        hint = f'write {matcher.name}="{value}"'
        yield Fault(REGEXP, "a regular expression without metacharacters", hint, value)


def _value_faults(matcher: Any, name: str, values: tuple[str, ...]) -> Iterator[Fault]:
    """Require values that the label can have."""
    if not values:
        return
    plain = matcher.op in (parser.MatchOp.Equal, parser.MatchOp.NotEqual)
    for wanted in [matcher.value] if plain else matcher.value.split("|"):
        literal = plain or not _METACHARACTER.search(wanted)
        if wanted and literal and wanted not in values:
            hint = _did_you_mean(wanted, values, f"its values: {', '.join(values)}")
            yield Fault(SERIES, f"{name} never has {matcher.name}={wanted!r}", hint, wanted)


def _did_you_mean(word: str, known: Any, otherwise: str) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
