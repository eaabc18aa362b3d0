"""What a PromQL expression asks for and which labels come out, judged by the catalogue instead of a server."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import promql_parser as parser

from jelmon.catalogue import BY_SERIES, Histogram
from jelmon_generators.promql import syntax
from jelmon_generators.promql.functions import why_not
from jelmon_generators.promql.series import OPTIONAL_LABELS, TARGET_LABELS, Series
from jelmon_generators.targets import OLDEST, Target

_COUNTER_ONLY = frozenset({"rate", "irate", "increase", "resets"})
_GAUGE_ONLY = frozenset(
    {"delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing", "changes"}
)
_KEEPS_NAME_FREE = frozenset({"sort", "sort_desc"})
_UNKNOWN = "unknown metric"
_METACHARACTER = re.compile(r"[.|*+?()\[\]{}\\]")
_COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})


class Fault(NamedTuple):
    """Something wrong in an expression; ``needle`` is the text to underline."""

    message: str
    hint: str
    needle: str


class Shape(NamedTuple):
    """What an expression yields. ``labels`` is None for a scalar or a string."""

    labels: frozenset[str] | None
    kind: str = "gauge"


@dataclass(frozen=True, slots=True)
class Limits:
    """What windows must keep to, in seconds; and the Prometheus that evaluates."""

    scrape_interval: float = 15.0
    retention: float = 15 * 86400.0
    target: Target = OLDEST


@dataclass(slots=True)
class Analysis:
    """The outcome of `analyse`."""

    labels: frozenset[str] | None = None
    names: dict[str, None] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    compares: bool = False  # its outermost operation is a comparison
    is_ratio: bool = False  # one aggregation divided by another
    fragile: str = ""  # an operation that returns other series from one evaluation to the next


def analyse(text: str, known: Mapping[str, Series], limits: Limits) -> Analysis:
    """Check an expression against the known series and infer its labels."""
    result = Analysis()
    try:
        tree = parser.parse(text)
    except ValueError as error:
        result.faults.append(Fault(f"not PromQL: {error}", "", ""))
        return result
    result.faults += itertools.starmap(Fault, syntax.why_not(text, limits.target))
    shape = _Walk(known, limits, result).shape(tree)
    result.labels = shape.labels
    if shape.kind in ("counter", "bucket"):
        result.faults.append(Fault("a raw counter says nothing by itself", "take rate() or increase()", ""))
    unknown = [fault for fault in result.faults if fault.message.startswith(_UNKNOWN)]
    if unknown:  # all else follows from it
        result.faults = unknown
    while isinstance(tree, parser.ParenExpr):
        tree = tree.expr
    result.compares = isinstance(tree, parser.BinaryExpr) and str(tree.op) in _COMPARISONS
    return result


class _Walk:
    """One pass over a syntax tree, from the leaves up."""

    def __init__(self, known: Mapping[str, Series], limits: Limits, result: Analysis) -> None:
        self._known = known
        self._limits = limits
        self._result = result

    def _fault(self, message: str, hint: str = "", needle: str = "") -> None:
        self._result.faults.append(Fault(message, hint, needle))

    def shape(self, node: Any) -> Shape:
        match node:
            case parser.ParenExpr() | parser.UnaryExpr():
                return self.shape(node.expr)
            case parser.NumberLiteral() | parser.StringLiteral():
                return Shape(None)
            case parser.VectorSelector():
                return self._selector(node)
            case parser.MatrixSelector():
                self._window(node.range)
                return self._selector(node.vector_selector)
            case parser.SubqueryExpr():
                self._window(node.range)
                inner = self.shape(node.expr)
                return Shape(inner.labels, "subquery" if inner.kind == "gauge" else inner.kind)
            case parser.AggregateExpr():
                return self._aggregate(node)
            case parser.Call():
                return self._call(node)
            case parser.BinaryExpr():
                return self._binary(node)
        raise AssertionError(f"unknown node {type(node).__name__}")  # a newer parser than we know

    def _window(self, width: timedelta | None) -> None:
        seconds = width.total_seconds() if width else 0.0
        needle = f"[{parser.display_duration(width)}" if width else ""
        least = 4 * self._limits.scrape_interval
        if seconds < least:
            self._fault(
                f"window of {seconds:g} s is shorter than four scrapes",
                f"at least {least:g} s at a scrape interval of {self._limits.scrape_interval:g} s",
                needle,
            )
        if seconds > self._limits.retention:
            self._fault(
                f"window of {seconds / 86400:g} d is longer than what is kept",
                f"retention in rules/bundle.yaml is {self._limits.retention / 86400:g} d",
                needle,
            )

    def _selector(self, node: Any) -> Shape:
        name = node.name
        matchers = [*node.matchers.matchers, *(one for group in node.matchers.or_matchers for one in group)]
        if name is None:
            name = next(
                (one.value for one in matchers if one.name == "__name__" and one.op == parser.MatchOp.Equal), None
            )
        if node.matchers.or_matchers:
            self._fault("Prometheus knows no 'or' between matchers", 'write label=~"a|b"', "or")
        if name is None:
            self._fault("a selector without a metric name", 'name the metric: name{label="value"}')
            return Shape(TARGET_LABELS)
        if node.offset is not None and abs(node.offset.total_seconds()) > self._limits.retention:
            self._fault(f"offset of {node.offset} is longer than what is kept", "", "offset")
        self._result.names[name] = None
        series = self._known.get(name)
        if series is None:
            near = difflib.get_close_matches(name, self._known, n=1, cutoff=0.6)
            self._fault(
                f"{_UNKNOWN} {name!r}",
                f"did you mean {near[0]!r}?" if near else "docs/metrics.md lists the metrics",
                name,
            )
            return Shape(TARGET_LABELS)
        for matcher in matchers:
            self._matcher(matcher)
            self._closed(name, matcher, series.closed.get(matcher.name, ()))
            if matcher.name == "le" and matcher.op == parser.MatchOp.Equal:
                self._bucket(name, matcher.value)
            if matcher.name != "__name__" and matcher.name not in series.labels | OPTIONAL_LABELS:
                near = difflib.get_close_matches(matcher.name, series.labels, n=1)
                self._fault(
                    f"{name} has no label {matcher.name!r}",
                    f"did you mean {near[0]!r}?" if near else f"its labels: {', '.join(sorted(series.labels))}",
                    matcher.name,
                )
        return Shape(series.labels, series.kind)

    def _bucket(self, name: str, value: str) -> None:
        """A bucket must be there, spelled as the exporter and every Prometheus since 3.0 spell it: ``30.0``."""
        metric = BY_SERIES.get(name)
        if not isinstance(metric, Histogram):
            return
        bounds = [*(repr(float(bound)) for bound in metric.buckets), "+Inf"]
        if value not in bounds:
            near = f"{value}.0" if f"{value}.0" in bounds else ""
            self._fault(
                f"{name} has no bucket with le={value!r}",
                f"did you mean {near!r}?" if near else f"its buckets: {', '.join(bounds)}",
                f'"{value}"',
            )

    def _matcher(self, matcher: Any) -> None:
        """A regular expression must be one, and must not say what it says anyway."""
        if matcher.op not in (parser.MatchOp.Re, parser.MatchOp.NotRe):
            return
        value = matcher.value
        if value in ("", ".*", ".+"):
            self._fault(f"the matcher {matcher.name}=~{value!r} matches everything or nothing", "leave it out", value)
        elif value.startswith("^") or value.endswith("$"):
            self._fault("an anchored matcher", "matchers are anchored at both ends anyway", value)
        elif not _METACHARACTER.search(value):
            self._fault("a regular expression without any metacharacter", f'write {matcher.name}="{value}"', value)

    def _closed(self, name: str, matcher: Any, values: tuple[str, ...]) -> None:
        """Each value that is asked for must be one that the label can have."""
        if not values:
            return
        plain = matcher.op in (parser.MatchOp.Equal, parser.MatchOp.NotEqual)
        for wanted in [matcher.value] if plain else matcher.value.split("|"):
            literal = plain or not _METACHARACTER.search(wanted)
            if wanted and literal and wanted not in values:
                near = difflib.get_close_matches(wanted, values, n=1)
                self._fault(
                    f"{name} never has {matcher.name}={wanted!r}",
                    f"did you mean {near[0]!r}?" if near else f"its values: {', '.join(values)}",
                    wanted,
                )

    def _absent_labels(self, labels: list[str], have: frozenset[str], needle: str) -> None:
        for label in labels:
            if label not in have | OPTIONAL_LABELS:
                self._fault(
                    f"label {label!r} in {needle!r} is not there any more, or never was",
                    f"the labels here: {', '.join(sorted(have)) or 'none'}",
                    label,
                )

    def _aggregate(self, node: Any) -> Shape:
        inner = self.shape(node.expr)
        if node.param is not None and not isinstance(node.param, str | float | int):
            self.shape(node.param)
        have = inner.labels or frozenset()
        operation = str(node.op)
        if inner.kind in ("counter", "bucket") and operation in ("sum", "avg"):
            self._fault(
                f"{operation} over a raw counter",
                "take rate() or increase() first: after a sum, resets cannot be seen",
                operation,
            )
        modifier = node.modifier
        if operation in ("topk", "bottomk", "limitk", "limit_ratio"):
            self._result.fragile = operation
            if reason := why_not(operation, self._limits.target):
                self._fault(reason, "", operation)
            return inner
        if modifier is None:
            return Shape(frozenset(), self._kept(inner.kind, operation))
        names = list(modifier.labels)
        if modifier.type == parser.AggModifierType.By:
            self._absent_labels(names, have, "by")
            kept = frozenset(name for name in names if name in have or name not in OPTIONAL_LABELS)
            return Shape(kept, self._kept(inner.kind, operation))  # what is missing has been told: once is enough
        unknown = [name for name in names if name not in have | OPTIONAL_LABELS | TARGET_LABELS]
        self._absent_labels(unknown, have, "without")
        return Shape(have - frozenset(names), self._kept(inner.kind, operation))

    @staticmethod
    def _kept(kind: str, operation: str) -> str:
        """``max without (instance)`` of a counter shown by several replicas is still that counter."""
        return kind if operation in ("max", "min") else "gauge"

    def _call(self, node: Any) -> Shape:
        name = node.func.name
        if reason := why_not(name, self._limits.target):
            self._fault(reason, "the target is set in rules/bundle.yaml", name)
        shapes = [self.shape(argument) for argument in node.args]
        vector = next((shape for shape in shapes if shape.labels is not None), None)
        labels = vector.labels if vector else frozenset()
        kind = vector.kind if vector else "gauge"
        if vector and name in _COUNTER_ONLY and kind not in ("counter", "bucket"):
            what = "the result of another function or aggregation" if kind == "subquery" else f"a {kind}"
            self._fault(f"{name}() of {what}", "only counters have a rate; use delta() or deriv() for a gauge", name)
        if vector and name in _GAUGE_ONLY and kind in ("counter", "bucket"):
            self._fault(f"{name}() of a counter", "counters reset; use rate() or increase()", name)
        match name:
            case "time" | "pi" | "scalar":
                return Shape(None)
            case "vector":
                return Shape(frozenset())
            case "absent" | "absent_over_time":
                return Shape(frozenset(self._equal_labels(node.args[0])))
            case "histogram_quantile":
                return self._histogram_quantile(labels or frozenset(), kind)
            case "label_replace" | "label_join":
                target = node.args[1].val
                return Shape((labels or frozenset()) | {target}, kind)
        if not node.args and name not in ("time", "pi"):
            return Shape(frozenset())
        return Shape(labels, kind if name in _KEEPS_NAME_FREE else "rated" if kind == "bucket" else "gauge")

    def _histogram_quantile(self, labels: frozenset[str], kind: str) -> Shape:
        if "le" not in labels:
            self._fault(
                "histogram_quantile() needs the label 'le'",
                "ask for the _bucket series and keep le: sum by (le, ...) (rate(..._bucket[5m]))",
                "histogram_quantile",
            )
        elif kind == "bucket":
            self._fault("histogram_quantile() of raw buckets", "take rate() first", "histogram_quantile")
        return Shape(labels - {"le"})

    def _equal_labels(self, node: Any) -> Iterator[str]:
        while isinstance(node, parser.ParenExpr):
            node = node.expr
        if isinstance(node, parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, parser.VectorSelector):
            for matcher in node.matchers.matchers:
                if matcher.op == parser.MatchOp.Equal and matcher.name != "__name__":
                    yield matcher.name

    def _binary(self, node: Any) -> Shape:
        left, right = self.shape(node.lhs), self.shape(node.rhs)
        operation = str(node.op)
        if left.kind in ("counter", "bucket") or right.kind in ("counter", "bucket"):
            self._fault("arithmetic with a raw counter", "take rate() or increase() first", operation)
        if operation == "/":
            self._result.is_ratio |= left.labels is not None and right.labels is not None
            self._divisor(node.rhs)
        if left.labels is None or right.labels is None:
            vector = right if left.labels is None else left
            return Shape(vector.labels)
        return self._matched(node, operation, left.labels, right.labels)

    def _divisor(self, node: Any) -> None:
        while isinstance(node, parser.ParenExpr):
            node = node.expr
        positive = isinstance(node, parser.NumberLiteral) and node.val != 0
        guarded = isinstance(node, parser.BinaryExpr) and str(node.op) in _COMPARISONS | {"unless", "and"}
        called = isinstance(node, parser.Call) and node.func.name == "clamp_min"
        if not (positive or guarded or called):
            self._fault("division that can be 0/0", "compare the divisor: a / (b > 0)", "/")

    def _matched(self, node: Any, operation: str, left: frozenset[str], right: frozenset[str]) -> Shape:
        modifier = node.modifier
        matching = modifier.matching if modifier is not None else None
        if matching is None:
            on = left | right
            if left != right and operation != "or":
                only = sorted(left ^ right)
                self._fault(
                    f"the two sides of {operation!r} never match: only one has {', '.join(only)}",
                    f"write {operation} on ({', '.join(sorted(left & right))})",
                    operation,
                )
        elif matching.type == parser.LabelModifierType.Include:
            on = frozenset(matching.labels)
            for side, labels in (("left", left), ("right", right)):
                missing = sorted(on - labels)
                if missing:
                    self._fault(
                        f"the {side} side of {operation!r} has no label {', '.join(missing)}",
                        f"its labels: {', '.join(sorted(labels)) or 'none'}",
                        missing[0],
                    )
        else:
            on = (left | right) - frozenset(matching.labels)
        if operation in ("and", "unless"):
            return Shape(left)
        if operation == "or":
            return Shape(left & right)
        card = modifier.card if modifier is not None else None
        if card == parser.VectorMatchCardinality.ManyToOne:
            return Shape(left | frozenset(modifier.group_labels or ()))
        if card == parser.VectorMatchCardinality.OneToMany:
            return Shape(right | frozenset(modifier.group_labels or ()))
        return Shape(left & on if matching is not None else left)
