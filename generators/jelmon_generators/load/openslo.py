"""OpenSLO v1 to ``rules/slos.yaml``: ratio objectives over counters, as text to review and commit.

What has no counterpart here is refused: an objective that counts something else than what was written looks right.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as parser
import yaml

from jelmon.errors import ConfigError
from jelmon_generators.text import quoted

_INVERTED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_WRITTEN = (  # the parser's operators cannot be keys
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)
_COUNTED = frozenset({"rate", "increase"})  # irate() looks at the last two samples only
Matchers = frozenset[tuple[str, str, str]]


class Counter(NamedTuple):
    """The counter that a query reads."""

    metric: str
    matchers: Matchers
    by: tuple[str, ...]

    def written(self) -> str:
        inner = ",".join(f"{name}{operator}{quoted(value)}" for name, operator, value in sorted(self.matchers))
        return f"{self.metric}{{{inner}}}" if inner else self.metric


def convert(paths: Iterable[Path]) -> str:
    """Return the objectives of some files as text for ``rules/slos.yaml``.

    Raises:
        ConfigError: a file is not OpenSLO v1, or has an objective that is no ratio of events counted by counters.
    """
    lines = ["slos:"]
    for path in paths:
        documents = _documents(path)
        indicators = {_name(document, path): document["spec"] for document in documents if document["kind"] == "SLI"}
        objectives = [document for document in documents if document["kind"] == "SLO"]
        if not objectives:
            raise ConfigError(f"{path}: no document of kind SLO")
        for document in objectives:
            name = _name(document, path)
            try:
                lines.extend(_objectives(document, name, indicators))
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                what = f"lacks {error}" if isinstance(error, KeyError | IndexError) else f"is malformed: {error}"
                raise ConfigError(f"{path}: SLO {name!r} {what}", hint="see the OpenSLO v1 schema") from error
    return "\n".join(lines) + "\n"


def _documents(path: Path) -> list[Mapping[str, Any]]:
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not all(isinstance(document, dict) and document.get("apiVersion") == "openslo/v1" for document in documents):
        raise ConfigError(f"{path}: not OpenSLO v1", hint="every document needs apiVersion: openslo/v1")
    for place, document in enumerate(documents, 1):
        if not isinstance(document.get("kind"), str) or not isinstance(document.get("spec"), dict):
            raise ConfigError(f"{path}: document {place} lacks kind or spec", hint="see the OpenSLO v1 schema")
    return documents


def _name(document: Mapping[str, Any], path: Path) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{path}: a document of kind {document['kind']} lacks metadata.name")
    return name


def _objectives(document: Mapping[str, Any], name: str, indicators: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    spec = document["spec"]
    method = spec.get("budgetingMethod", "Occurrences")
    if method != "Occurrences":
        raise ConfigError(
            f"SLO {name!r}: budgetingMethod {method} is not supported: counters are budgeted by occurrences",
            hint="for time slices, write a signal with the ratio, and an objective over it with metric_path",
        )
    window = spec["timeWindow"][0]
    if not window.get("isRolling", False):
        raise ConfigError(f"SLO {name!r}: calendar windows are not supported", hint="use a rolling window")
    indicator = spec["indicator"]["spec"] if "indicator" in spec else indicators[spec["indicatorRef"]]
    if "ratioMetric" not in indicator:
        raise ConfigError(
            f"SLO {name!r}: the indicator has no ratioMetric",
            hint="for a threshold, write a signal, and an objective over it with metric_path",
        )
    valid, bad = _counters(indicator["ratioMetric"], name)
    title = " ".join(str(document["metadata"].get("displayName") or spec.get("description") or name).split())
    if "{{" in title:
        raise ConfigError(f"SLO {name!r}: its name for people has {{{{, which starts a template in alerts")
    for place, objective in enumerate(spec["objectives"], 1):
        suffix = f"_{place}" if len(spec["objectives"]) > 1 else ""
        yield f"  {name.lower().replace('-', '_').replace('.', '_')}{suffix}:"
        yield f"    title: {quoted(title)}"
        yield f"    objective: {_target(objective, name):f}"
        yield f"    period: {window['duration']}"
        yield f"    valid: {quoted(valid.written())}"
        yield f"    bad: {quoted(bad.written())}"
        # the job is always a label of what is counted, so it stands for no grouping at all
        yield f"    by: [{', '.join(label for label in valid.by if label != 'job') or 'job'}]"


def _target(objective: Mapping[str, Any], name: str) -> Decimal:
    given = [field for field in ("target", "targetPercent") if field in objective]
    if len(given) != 1:
        raise ConfigError(f"SLO {name!r}: an objective has neither target nor targetPercent, or both")
    try:
        target = Decimal(str(objective[given[0]]))
    except InvalidOperation as error:
        raise ConfigError(f"SLO {name!r}: {given[0]} is no number") from error
    if not target.is_finite():
        raise ConfigError(f"SLO {name!r}: {given[0]} is no number")
    if given == ["targetPercent"]:
        target /= 100
    if not 0 < target < 1:
        raise ConfigError(f"SLO {name!r}: {given[0]} leaves no budget", hint="a target is above 0 and below 100 %")
    return target


def _counters(ratio: Mapping[str, Any], name: str) -> tuple[Counter, Counter]:
    """Return valid and bad events. With good events given, the bad ones fail the one matcher that makes them good."""
    if ratio.get("counter") is False:
        raise ConfigError(f"SLO {name!r}: ratioMetric has counter: false", hint="only counters count events")
    total = _counter(ratio["total"], name)
    other = _counter(ratio["bad" if "bad" in ratio else "good"], name)
    if set(other.by) != set(total.by):
        raise ConfigError(f"SLO {name!r}: its two queries group by different labels", hint="group both alike")
    if "bad" in ratio:
        return total, other
    making = other.matchers - total.matchers
    if other.metric != total.metric or not total.matchers <= other.matchers or len(making) != 1:
        raise ConfigError(
            f"SLO {name!r}: cannot derive the bad events from the good ones",
            hint="state bad instead of good, or let good differ from total by one matcher",
        )
    ((label, operator, value),) = making
    return total, Counter(total.metric, total.matchers | {(label, _INVERTED[operator], value)}, total.by)


def _operator(matcher: Any) -> str:
    return next(text for known, text in _WRITTEN if known == matcher.op)


def _counter(source: Mapping[str, Any], name: str) -> Counter:
    """Return the counter in a query: ``sum by (...) (rate(counter{...}[5m]))``, or a part of that."""
    written = source["metricSource"]["spec"]["query"]
    text = written.replace("{{.window}}", "5m").replace("$__rate_interval", "5m")
    try:
        node: Any = parser.parse(text)
    except ValueError as error:
        raise ConfigError(f"SLO {name!r}: {error} in {text!r}") from error
    by: list[tuple[str, ...]] = []  # the outermost grouping is the one that remains
    while not isinstance(node, parser.VectorSelector):
        match node:
            case parser.ParenExpr():
                node = node.expr
            case parser.AggregateExpr() if str(node.op) == "sum" and _groups(node.modifier):
                by.append(tuple(node.modifier.labels) if node.modifier is not None else ())
                node = node.expr
            case parser.Call() if node.func.name in _COUNTED:
                node = node.args[0]
            case parser.MatrixSelector():
                node = node.vector_selector
            case _:
                break
    if not isinstance(node, parser.VectorSelector) or node.name is None or node.offset or node.at:
        raise ConfigError(
            f"SLO {name!r}: {text!r} does not read exactly one metric, or does more than to count it",
            hint="write sum by (label) (rate(metric{...}[5m]))",
        )
    if node.matchers.or_matchers:
        raise ConfigError(f"SLO {name!r}: {text!r} has alternative matchers", hint="use =~ instead of or")
    matchers = frozenset((matcher.name, _operator(matcher), matcher.value) for matcher in node.matchers.matchers)
    return Counter(node.name, matchers, by[0] if by else ())


def _groups(modifier: Any) -> bool:
    return modifier is None or modifier.type == parser.AggModifierType.By
