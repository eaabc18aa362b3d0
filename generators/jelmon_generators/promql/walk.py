"""One pass over the syntax tree of an expression: the labels and the kind of every part."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import promql_parser as parser

from jelmon_generators.checks import COUNTER, FEATURE, LABEL, MATCHING, NAN, RATE, RETENTION, Check
from jelmon_generators.promql import selectors
from jelmon_generators.promql.faults import Fault, Limits
from jelmon_generators.promql.functions import why_not
from jelmon_generators.promql.series import OPTIONAL_LABELS, TARGET_LABELS, Series

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_COUNTER_ONLY = frozenset({"rate", "irate", "increase", "resets"})
_GAUGE_ONLY = frozenset(
    {"delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing", "changes"}
)
_KEEPS_KIND = frozenset({"sort", "sort_desc"})


class Shape(NamedTuple):
    """What an expression yields. ``labels`` is None for a scalar or a string."""

    labels: frozenset[str] | None
    kind: str = "gauge"


class Walk:
    """One pass over a syntax tree, from the leaves up."""

    def __init__(self, known: Mapping[str, Series], limits: Limits, labels: frozenset[str] = frozenset()) -> None:
        """``labels``: what an unknown metric may have, where it is tolerated."""
        self._known = known
        self._limits = limits
        self._possible = labels
        self.unknown: list[Fault] = []
        self.names: dict[str, None] = {}
        self.faults: list[Fault] = []
        self.is_ratio = False
        self.may_be_nan = False
        self.fragile = ""

    def _fault(self, check: Check, message: str, hint: str = "", needle: str = "") -> None:
        self.faults.append(Fault(check, message, hint, needle))

    def shape(self, node: Any) -> Shape:
        """Return what the expression under a node yields."""
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
                RATE,
                f"window of {seconds:g} s is shorter than four scrapes",
                f"at least {least:g} s at a scrape interval of {self._limits.scrape_interval:g} s",
                needle,
            )
        if seconds > self._limits.retention:
            self._fault(
                RETENTION,
                f"window of {seconds / 86400:g} d is longer than the retention",
                f"retention in rules/bundle.yaml is {self._limits.retention / 86400:g} d",
                needle,
            )

    def _selector(self, node: Any) -> Shape:
        name = selectors.name_of(node)
        self.faults += selectors.selector_faults(node, name, self._limits.retention)
        if name is None:
            return Shape(TARGET_LABELS)
        self.names[name] = None
        series = self._known.get(name)
        if series is None:
            fault = selectors.unknown_metric(name, self._known)
            if not self._limits.tolerant:
                self.faults.append(fault)
            elif fault not in self.unknown:
                self.unknown.append(fault)
            return Shape(TARGET_LABELS | self._possible, selectors.usual_kind(name))
        for matcher in selectors.all_matchers(node):
            self.faults += selectors.matcher_faults(matcher, name, series)
        return Shape(series.labels, series.kind)

    def _absent_labels(self, labels: list[str], have: frozenset[str], needle: str) -> None:
        for label in labels:
            if label not in have | OPTIONAL_LABELS:
                self._fault(
                    LABEL,
                    f"label {label!r} in {needle!r} does not exist or has been aggregated away",
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
                COUNTER,
                f"{operation} over a raw counter",
                "apply rate() or increase() first: a sum hides counter resets",
                operation,
            )
        modifier = node.modifier
        if operation in ("topk", "bottomk", "limitk", "limit_ratio"):
            self.fragile = operation
            if reason := why_not(operation, self._limits.target):
                self._fault(FEATURE, reason, "", operation)
            return inner
        if modifier is None:
            return Shape(frozenset(), self._kept(inner.kind, operation))
        names = list(modifier.labels)
        if modifier.type == parser.AggModifierType.By:
            self._absent_labels(names, have, "by")
            kept = frozenset(name for name in names if name in have or name not in OPTIONAL_LABELS)
            return Shape(kept, self._kept(inner.kind, operation))  # missing labels have been reported: once is enough
        unknown = [name for name in names if name not in have | OPTIONAL_LABELS | TARGET_LABELS]
        self._absent_labels(unknown, have, "without")
        return Shape(have - frozenset(names), self._kept(inner.kind, operation))

    @staticmethod
    def _kept(kind: str, operation: str) -> str:
        """Return the kind of the result: ``max`` over replicas of a counter is still that counter."""
        return kind if operation in ("max", "min") else "gauge"

    def _call(self, node: Any) -> Shape:
        name = node.func.name
        if reason := why_not(name, self._limits.target):
            self._fault(FEATURE, reason, "the target is set in rules/bundle.yaml", name)
        shapes = [self.shape(argument) for argument in node.args]
        vector = next((shape for shape in shapes if shape.labels is not None), None)
        if vector is not None:
            self._check_kind(name, vector.kind)
        if name in _RESULTS:
            return _RESULTS[name](self, node, vector or Shape(frozenset()))
        if vector is None:
            return Shape(frozenset())
        kind = vector.kind if name in _KEEPS_KIND else "rated" if vector.kind == "bucket" else "gauge"
        return Shape(vector.labels, kind)

    def _check_kind(self, name: str, kind: str) -> None:
        """Report a function of counters that is applied to a gauge, or the reverse."""
        if name in _COUNTER_ONLY and kind not in ("counter", "bucket"):
            what = "the result of another function or aggregation" if kind == "subquery" else f"a {kind}"
            hint = "only counters have a rate; use delta() or deriv() for a gauge"
            self._fault(RATE, f"{name}() of {what}", hint, name)
        if name in _GAUGE_ONLY and kind in ("counter", "bucket"):
            self._fault(RATE, f"{name}() of a counter", "counters reset; use rate() or increase()", name)

    def _scalar(self, _node: Any, _vector: Shape) -> Shape:
        return Shape(None)

    def _no_labels(self, _node: Any, _vector: Shape) -> Shape:
        return Shape(frozenset())

    def _absent(self, node: Any, _vector: Shape) -> Shape:
        return Shape(frozenset(_equal_labels(node.args[0])))

    def _label_change(self, node: Any, vector: Shape) -> Shape:
        return Shape((vector.labels or frozenset()) | {node.args[1].val}, vector.kind)

    def _quantile(self, _node: Any, vector: Shape) -> Shape:
        labels = vector.labels or frozenset()
        self.may_be_nan = True
        if "le" not in labels:
            self._fault(
                LABEL,
                "histogram_quantile() needs the label 'le'",
                "use the _bucket series and keep le: sum by (le, ...) (rate(..._bucket[5m]))",
                "histogram_quantile",
            )
        elif vector.kind == "bucket":
            self._fault(COUNTER, "histogram_quantile() of raw buckets", "apply rate() first", "histogram_quantile")
        return Shape(labels - {"le"})

    def _binary(self, node: Any) -> Shape:
        left, right = self.shape(node.lhs), self.shape(node.rhs)
        operation = str(node.op)
        if left.kind in ("counter", "bucket") or right.kind in ("counter", "bucket"):
            self._fault(COUNTER, "arithmetic with a raw counter", "apply rate() or increase() first", operation)
        if operation == "/":
            self.is_ratio |= left.labels is not None and right.labels is not None
            self._divisor(node.rhs)
        if left.labels is None or right.labels is None:
            vector = right if left.labels is None else left
            return Shape(vector.labels)
        return self._matched(node, operation, left.labels, right.labels)

    def _divisor(self, node: Any) -> None:
        while isinstance(node, parser.ParenExpr):
            node = node.expr
        positive = isinstance(node, parser.NumberLiteral) and node.val != 0
        guarded = isinstance(node, parser.BinaryExpr) and str(node.op) in COMPARISONS | {"unless", "and"}
        called = isinstance(node, parser.Call) and node.func.name == "clamp_min"
        if not (positive or guarded or called):
            self._fault(NAN, "this division can be 0/0", "compare the divisor: a / (b > 0)", "/")

    def _matched(self, node: Any, operation: str, left: frozenset[str], right: frozenset[str]) -> Shape:
        modifier = node.modifier
        matching = modifier.matching if modifier is not None else None
        if matching is None:
            on = left | right
            if left != right and operation != "or":
                only = sorted(left ^ right)
                self._fault(
                    MATCHING,
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
                        MATCHING,
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


def _equal_labels(node: Any) -> Iterator[str]:
    """Yield the labels that a selector fixes: those that ``absent()`` keeps."""
    while isinstance(node, parser.ParenExpr):
        node = node.expr
    if isinstance(node, parser.MatrixSelector):
        node = node.vector_selector
    if isinstance(node, parser.VectorSelector):
        for matcher in node.matchers.matchers:
            if matcher.op == parser.MatchOp.Equal and matcher.name != "__name__":
                yield matcher.name


_RESULTS: dict[str, Callable[[Walk, Any, Shape], Shape]] = {
    **dict.fromkeys(("time", "pi", "scalar"), Walk._scalar),
    "vector": Walk._no_labels,
    **dict.fromkeys(("absent", "absent_over_time"), Walk._absent),
    "histogram_quantile": Walk._quantile,
    **dict.fromkeys(("label_replace", "label_join"), Walk._label_change),
}
"""Functions whose result does not simply have the labels of their first vector."""
