"""What an expression reads and which labels its result has, judged by the catalogue instead of a server."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as parser

from jelmon_generators.checks import COUNTER, FEATURE, REGEXP, RETENTION, SELECTOR, SERIES, SYNTAX
from jelmon_generators.promql import syntax
from jelmon_generators.promql.faults import Fault, Limits
from jelmon_generators.promql.series import Series
from jelmon_generators.promql.walk import COMPARISONS, Walk

__all__ = ["Analysis", "Fault", "Limits", "analyse"]


_WITHOUT_METRICS = (SYNTAX, RETENTION, REGEXP, FEATURE, SELECTOR)
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_LABEL = re.compile(r"[a-zA-Z_]\w*")
_MATCHER = re.compile(r"[{,]\s*([a-zA-Z_]\w*)\s*(?:=|!)")


@dataclass(frozen=True, slots=True)
class Analysis:
    """The outcome of `analyse`."""

    labels: frozenset[str] | None = None  # None: a scalar or a string
    names: tuple[str, ...] = ()  # the metrics that it reads, in the order written
    faults: tuple[Fault, ...] = ()
    compares: bool = False  # its outermost operation is a comparison
    is_ratio: bool = False  # one aggregation divided by another
    may_be_nan: bool = False  # where there is nothing to judge: a percentile
    highest: float = math.inf  # that it can be: a percentile is at most the largest bound of its buckets
    unknown: tuple[Fault, ...] = ()  # metrics that do not exist, where that is not a fault
    fragile: str = ""  # an operation that selects other series at every evaluation


def analyse(text: str, known: Mapping[str, Series], limits: Limits) -> Analysis:
    """Check an expression against the known series and infer its labels."""
    try:
        tree: Any = parser.parse(text)
    except ValueError as error:
        return Analysis(faults=(Fault(SYNTAX, f"not PromQL: {error}"),))
    walk = Walk(known, limits, _named_labels(text) if limits.tolerant else frozenset())
    shape = walk.shape(tree)
    faults = [*syntax.why_not(text, limits.target), *walk.faults]
    if shape.kind in ("counter", "bucket"):
        faults.append(Fault(COUNTER, "a raw counter is meaningless on its own", "use rate() or increase()"))
    unknown = [fault for fault in faults if fault.check is SERIES and fault.message.startswith("unknown metric")]
    if walk.unknown:
        faults = [fault for fault in faults if fault.check in _WITHOUT_METRICS]
    while isinstance(tree, parser.ParenExpr):
        tree = tree.expr
    return Analysis(
        labels=shape.labels,
        names=tuple(walk.names),
        faults=tuple(dict.fromkeys(unknown or faults)),  # every other fault may follow from an unknown metric
        compares=isinstance(tree, parser.BinaryExpr) and str(tree.op) in COMPARISONS,
        is_ratio=walk.is_ratio,
        may_be_nan=walk.may_be_nan,
        highest=_highest(tree, walk.names, known),
        unknown=tuple(walk.unknown),
        fragile=walk.fragile,
    )


def _named_labels(text: str) -> frozenset[str]:
    """Return the labels that an expression itself names: an unknown metric may have them."""
    lists = " ".join(_LABELS.findall(text))
    return frozenset((*_LABEL.findall(lists), *_MATCHER.findall(text)))


def _highest(tree: Any, names: Iterable[str], known: Mapping[str, Series]) -> float:
    if not (isinstance(tree, parser.Call) and tree.func.name == "histogram_quantile"):
        return math.inf
    read = [known.get(name) for name in names]
    bounds = [series.buckets[-1] for series in read if series is not None and series.buckets]
    return max(bounds) if len(bounds) == len(read) and bounds else math.inf
