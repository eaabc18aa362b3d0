"""OpenSLO v1 to ``rules/slos.yaml``: ratio objectives over counters, as text to review and commit."""

from collections.abc import Iterator, Mapping
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
Matchers = frozenset[tuple[str, str, str]]


class Counter(NamedTuple):
    """The counter that a query reads."""

    metric: str
    matchers: Matchers
    by: tuple[str, ...]

    def written(self) -> str:
        inner = ",".join(f'{name}{operator}"{value}"' for name, operator, value in sorted(self.matchers))
        return f"{self.metric}{{{inner}}}" if inner else self.metric


def convert(path: Path) -> str:
    """Return the objectives of a file as text for ``rules/slos.yaml``.

    Raises:
        ConfigError: the file is not OpenSLO v1, or has an objective that is no ratio of counters.
    """
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not all(isinstance(document, dict) and document.get("apiVersion") == "openslo/v1" for document in documents):
        raise ConfigError(f"{path}: not OpenSLO v1", hint="every document needs apiVersion: openslo/v1")
    indicators = {document["metadata"]["name"]: document["spec"] for document in documents if document["kind"] == "SLI"}
    lines = ["slos:"]
    for document in documents:
        if document["kind"] == "SLO":
            try:
                lines.extend(_objectives(document, indicators))
            except (KeyError, IndexError, TypeError) as error:
                name = document.get("metadata", {}).get("name", "?")
                raise ConfigError(f"{path}: SLO {name!r} lacks {error}", hint="see the OpenSLO v1 schema") from error
    if len(lines) == 1:
        raise ConfigError(f"{path}: no document of kind SLO")
    return "\n".join(lines) + "\n"


def _objectives(document: Mapping[str, Any], indicators: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    spec, name = document["spec"], document["metadata"]["name"]
    window = spec["timeWindow"][0]
    if not window.get("isRolling", False):
        raise ConfigError(f"SLO {name!r}: calendar windows are not supported", hint="use a rolling window")
    indicator = spec["indicator"]["spec"] if "indicator" in spec else indicators[spec["indicatorRef"]]
    valid, bad = _counters(indicator["ratioMetric"], name)
    title = document["metadata"].get("displayName") or spec.get("description") or name
    for place, objective in enumerate(spec["objectives"], 1):
        suffix = f"_{place}" if len(spec["objectives"]) > 1 else ""
        yield f"  {name.replace('-', '_').replace('.', '_')}{suffix}:"
        yield f"    title: {quoted(title.strip())}"
        yield f"    objective: {_target(objective, name):g}"
        yield f"    period: {window['duration']}"
        yield f"    valid: {quoted(valid.written())}"
        yield f"    bad: {quoted(bad.written())}"
        yield f"    by: [{', '.join(label for label in valid.by if label != 'job')}]"


def _target(objective: Mapping[str, Any], name: str) -> float:
    if "target" in objective:
        return float(objective["target"])
    if "targetPercent" in objective:
        return float(objective["targetPercent"]) / 100
    raise ConfigError(f"SLO {name!r}: an objective has neither target nor targetPercent")


def _counters(ratio: Mapping[str, Any], name: str) -> tuple[Counter, Counter]:
    """Return valid and bad events. With good events given, the bad ones fail the one matcher that makes them good."""
    total = _counter(ratio["total"], name)
    if "bad" in ratio:
        return total, _counter(ratio["bad"], name)
    good = _counter(ratio["good"], name)
    making = good.matchers - total.matchers
    if good.metric != total.metric or not total.matchers <= good.matchers or len(making) != 1:
        raise ConfigError(
            f"SLO {name!r}: cannot derive the bad events from the good ones",
            hint="state bad instead of good, or let good differ from total by one matcher",
        )
    ((label, operator, value),) = making
    return total, Counter(total.metric, total.matchers | {(label, _INVERTED[operator], value)}, total.by)


def _operator(matcher: Any) -> str:
    return next(text for known, text in _WRITTEN if known == matcher.op)


def _counter(source: Mapping[str, Any], name: str) -> Counter:
    text = source["metricSource"]["spec"]["query"].replace("{{.window}}", "5m").replace("$__rate_interval", "5m")
    selectors: list[Any] = []
    groupings: list[tuple[str, ...]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, parser.VectorSelector):
            selectors.append(node)
        elif isinstance(node, parser.AggregateExpr) and node.modifier is not None:
            groupings.append(tuple(node.modifier.labels))
        return True

    try:
        parser.walk(parser.parse(text), visit)
    except ValueError as error:
        raise ConfigError(f"SLO {name!r}: {error} in {text!r}") from error
    if len(selectors) != 1 or selectors[0].name is None:
        raise ConfigError(f"SLO {name!r}: {text!r} does not read exactly one metric", hint="sum(rate(metric{...}[5m]))")
    written = selectors[0].matchers.matchers
    matchers = frozenset((matcher.name, _operator(matcher), matcher.value) for matcher in written)
    return Counter(selectors[0].name, matchers, groupings[0] if groupings else ())
