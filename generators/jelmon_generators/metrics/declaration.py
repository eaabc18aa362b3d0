"""Families of metrics to ``rules/metrics/*.yaml``, and back to what a declaration leaves out."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from jelmon_generators.metrics.page import Family, bounds
from jelmon_generators.text import quoted

_PLAIN_NAME = re.compile(r"[a-zA-Z_:][\w:]*", re.ASCII)
_PLAIN_LABEL = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
SCRAPE_LABELS = frozenset({"job", "instance"})


@dataclass(frozen=True, slots=True)
class Declaration:
    """A metric as a file in ``rules/metrics/`` declares it."""

    name: str
    type: str
    help: str = ""
    unit: str = ""
    labels: tuple[str, ...] = ()
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    buckets: tuple[float, ...] = ()


def declared(
    families: Iterable[Family], closed: Collection[str] = ()
) -> tuple[list[Declaration], list[tuple[Family, str]]]:
    """Return a declaration for each family that a rule can read, by name, and the other families with the reason.

    ``closed``: labels that have no other values than those that were seen.
    """
    families = list(families)
    untyped = {family.name: family for family in families if not family.type or family.type in ("unknown", "untyped")}
    made: dict[str, Declaration] = {}
    refused: list[tuple[Family, str]] = []
    for family in families:
        if family.name in untyped and _part_of_histogram(family.name, untyped):
            continue  # declared with its histogram
        if family.conflict:
            refused.append((family, family.conflict))
        elif not _PLAIN_NAME.fullmatch(family.name):
            refused.append((family, "its name needs quotes, which Prometheus before 3.0 does not know"))
        elif odd := next((label for label in family.labels if not _PLAIN_LABEL.fullmatch(label)), None):
            refused.append((family, f"its label {odd!r} needs quotes, which Prometheus before 3.0 does not know"))
        else:
            for one in _declarations(family, closed):
                made.setdefault(one.name, one)
    return [made[name] for name in sorted(made)], refused


def _part_of_histogram(name: str, untyped: dict[str, Family]) -> bool:
    base = re.sub(r"_(sum|count)$", "", name)
    return base != name and f"{base}_bucket" in untyped


def _declarations(family: Family, closed: Collection[str]) -> Iterable[Declaration]:
    """Yield what a family is for a query: OpenMetrics names a counter without ``_total``, Prometheus with it."""
    kind, name = family.type, family.name
    labels = tuple(sorted(label for label in family.labels if label not in SCRAPE_LABELS))
    values = tuple((label, tuple(sorted(family.labels[label]))) for label in labels if label in closed)

    def declaration(name: str, kind: str, *, buckets: tuple[float, ...] = ()) -> Declaration:
        return Declaration(name, kind, family.help, family.unit, labels, values, buckets)

    match kind:
        case "counter":
            total = "_total" in family.suffixes
            yield declaration(f"{name}_total" if total else name, "counter")
        case "histogram":
            if family.samples and "_bucket" not in family.suffixes:  # a native one, or one without observations
                yield declaration(name, "histogram")
            else:
                yield declaration(name, "histogram", buckets=tuple(bounds(family)))
        case "gaugehistogram":
            for suffix in ("_bucket", "_gsum", "_gcount"):
                own = (*labels, "le") if suffix == "_bucket" else labels
                yield Declaration(f"{name}{suffix}", "gauge", family.help, family.unit, own, values)
        case "summary":
            yield declaration(name, "summary")
        case "info":
            yield declaration(f"{name}_info" if "_info" in family.suffixes else name, "gauge")
        case "gauge" | "stateset":
            yield declaration(name, "gauge")
        case _:
            yield from _guessed(family, labels, values)


def _guessed(
    family: Family, labels: tuple[str, ...], values: tuple[tuple[str, tuple[str, ...]], ...]
) -> Iterable[Declaration]:
    """Yield what a family without TYPE is by its name."""
    name = family.name
    if name.endswith("_bucket") and "le" in labels:
        found = sorted(float(value) for value in family.labels["le"])
        plain = tuple(label for label in labels if label != "le")
        finite = tuple(bound for bound in found if bound != float("inf"))
        yield Declaration(name.removesuffix("_bucket"), "histogram", family.help, family.unit, plain, values, finite)
    elif name.endswith(("_total", "_count", "_sum")):
        yield Declaration(name, "counter", family.help, family.unit, tuple(x for x in labels if x != "le"), values)
    else:
        usable = tuple(label for label in labels if label not in ("le", "quantile"))
        yield Declaration(name, "gauge", family.help, family.unit, usable, values)


def text(declarations: Iterable[Declaration], *, job: str | None, source: str) -> str:
    """Return the text of a file."""
    lines = [
        f"# written by jelmon metrics import from {source}; edit it as you like,",
        "# values and units that you add are kept by the next import",
    ]
    if job:
        lines.append(f"job: {quoted(job)}")
    lines.append("metrics:")
    for one in declarations:
        lines.append(f"  {_key(one.name)}:")
        lines.append(f"    type: {one.type}")
        if one.help:
            lines.append(f"    help: {quoted(' '.join(one.help.split()))}")
        if one.unit:
            lines.append(f"    unit: {quoted(one.unit)}")
        if one.labels:
            lines.append(f"    labels: [{', '.join(map(_key, one.labels))}]")
        if one.values:
            lines.append("    values:")
            lines += [f"      {_key(label)}: [{', '.join(map(quoted, found))}]" for label, found in one.values]
        if one.buckets:
            lines.append(f"    buckets: [{', '.join(f'{bound:.12g}' for bound in one.buckets)}]")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """Return a key that YAML reads as a string: ``on`` and ``y`` are booleans to some readers."""
    return quoted(name) if name.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "null") else name
