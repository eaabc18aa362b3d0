"""``rules/metrics/*.yaml``: what the metrics of other services are, so that rules over them are checked like ours."""

import re
from collections.abc import Mapping
from pathlib import Path

from jelmon.config.strict_yaml import Fields, read
from jelmon.errors import Problem
from jelmon_generators.checks import DUPLICATE, METRIC
from jelmon_generators.promql.series import FOREIGN, TARGET_LABELS, Series, family, known_series

FOLDER = "rules/metrics"
TYPES = ("counter", "gauge", "histogram", "summary")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_ADDED = {"histogram": "le", "summary": "quantile"}


def read_metrics(root: Path, problems: list[Problem]) -> dict[str, Series]:
    """Return every series that definitions may read, with those of the declarations."""
    known = known_series()
    ours = frozenset(known) - FOREIGN.keys()
    for path in sorted((root / FOLDER).glob("*.y*ml")):
        fields = read(root, f"{FOLDER}/{path.name}", problems)
        if fields is not None:
            _read_file(fields, known, ours)
    return known


def _read_file(fields: Fields, known: dict[str, Series], ours: frozenset[str]) -> None:
    job = fields.text("job", None)
    for name, entry in fields.entries("metrics"):
        series = _series(name, entry, job)
        entry.done("a metric")
        if not _NAME.fullmatch(name):
            METRIC.report(entry.place, f"{name!r} is not the name of a metric", hint="letters, digits, '_' and ':'")
            continue
        for one, declared in series.items():
            before = known.get(one)
            if one in ours:
                DUPLICATE.report(entry.place, f"metric {one!r} is in docs/metrics.md", hint="delete it here")
            elif before is None or before is FOREIGN.get(one):
                known[one] = declared
            elif before.kind == declared.kind:
                known[one] = _both(before, declared)  # such as go_goroutines: many services expose it
            else:
                message = f"metric {one!r} is declared as a {declared.kind} here and as a {before.kind} before"
                DUPLICATE.report(entry.place, message, hint="two services expose it with different types: keep one")
    fields.done("a file of metrics")


def _both(one: Series, other: Series) -> Series:
    """Return what is true of a metric that two services expose."""
    closed = {
        label: tuple(dict.fromkeys((*values, *other.closed[label])))
        for label, values in one.closed.items()
        if label in other.closed
    }
    return one._replace(
        labels=one.labels | other.labels,
        closed=closed,
        buckets=one.buckets if one.buckets == other.buckets else (),
        job=one.job if one.job == other.job else None,
    )


def _series(name: str, entry: Fields, job: str | None) -> dict[str, Series]:
    kind = entry.choice("type", TYPES)
    entry.text("help", ""), entry.text("unit", "")  # for people
    labels = []
    for label, place in entry.texts("labels"):
        if not _LABEL.fullmatch(label) or label.startswith("__"):
            METRIC.report(place, f"{label!r} is not the name of a label", hint="letters, digits and '_'")
        elif _ADDED.get(kind) == label:
            METRIC.report(place, f"every {kind} has the label {label!r}", hint="leave it out")
        elif label in labels:
            DUPLICATE.report(place, f"label {label!r} is listed twice")
        labels.append(label)
    like = Series(
        kind, frozenset(labels) | TARGET_LABELS, _closed(entry.mapping("values"), labels), _buckets(entry, kind), job
    )
    return family(kind, name, like)


def _closed(fields: Fields | None, labels: list[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the values of labels that can have no others."""
    if fields is None:
        return {}
    closed = {}
    for label in list(fields.nodes):
        closed[label] = tuple(value for value, _ in fields.texts(label))
        if label not in labels:
            METRIC.report(fields.keys[label], f"values of {label!r}, which is not among the labels")
    return closed


def _buckets(entry: Fields, kind: str) -> tuple[float, ...]:
    before = len(entry.place.source.problems)
    texts = entry.texts("buckets")
    if texts and kind != "histogram":
        METRIC.report(entry.at("buckets"), f"a {kind} has no buckets", hint="only a histogram has them")
        return ()
    bounds = []
    for text, place in texts:
        try:
            bounds.append(float(text))
        except ValueError:
            METRIC.report(place, f"{text!r} is not the bound of a bucket", hint="write numbers, without +Inf")
    if len(entry.place.source.problems) == before and bounds != sorted(set(bounds)):
        METRIC.report(entry.at("buckets"), "buckets must be in ascending order, each once")
    return tuple(bound for bound in bounds if bound != float("inf"))
