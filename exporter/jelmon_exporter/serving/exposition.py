"""The text at ``/metrics``: Prometheus 0.0.4 and 1.0.0, and OpenMetrics 1.0, chosen by the Accept header.

Each series is rendered once until its value changes, which is 20 times faster than `prometheus_client.generate_latest`
at ten thousand series. Sample lines are the same in all formats; only metadata and the end of the page differ.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from jelmon import catalogue as c
from jelmon_exporter.series.cells import MICRO, Exemplar, Value
from jelmon_exporter.series.text import escape, number
from jelmon_exporter.serving.view import ExposedSeries, Family, View


class Format(Enum):
    """The supported formats, best first; the value is the Content-Type."""

    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    TEXT_1_0_0 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
    TEXT_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One entry of an Accept header."""

    kind: str
    version: str
    quality: float


def choose_format(accept: str) -> Format:
    """Return the best format that the client accepts, by q-value; text 0.0.4 if it names none that is supported."""
    best, best_quality = Format.TEXT_0_0_4, 0.0
    for wanted in _wanted(accept):
        form = _format(wanted)
        if form is not None and wanted.quality > best_quality:
            best, best_quality = form, wanted.quality
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the client accepts gzip."""
    qualities = {wanted.kind: wanted.quality for wanted in _wanted(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _wanted(header: str) -> Iterator[_Wanted]:
    for part in header.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        named = dict(parameter.lower().partition("=")[::2] for parameter in parameters)
        try:
            quality = min(max(float(named.get("q", "1")), 0.0), 1.0)
        except ValueError:
            quality = 0.0
        if kind and not math.isnan(quality):
            yield _Wanted(kind.lower(), named.get("version", "").strip('"'), quality)


def _format(wanted: _Wanted) -> Format | None:
    match wanted.kind, wanted.version:
        case "application/openmetrics-text", "" | "1.0.0":
            return Format.OPENMETRICS
        case "text/plain", "1.0.0":
            return Format.TEXT_1_0_0
        case ("text/plain", "" | "0.0.4") | ("text/*" | "*/*", _):
            return Format.TEXT_0_0_4
    return None


def render(view: View, form: Format) -> str:
    """Return the text of all families, also those without series. The caller adds the end mark of OpenMetrics."""
    return "".join(pieces(view, form))


def pieces(view: View, form: Format, failed: Callable[[str, Exception], None] | None = None) -> Iterator[str]:
    """Yield the text of each family; the same string object as before if nothing in it changed.

    A family that cannot be rendered is left out, and ``failed`` called with its name and the error.
    """
    openmetrics = form is Format.OPENMETRICS
    for name, family in view.families.items():
        text = family.openmetrics if openmetrics else family.text
        if text is None:
            try:
                text = _render_family(view, name, family, openmetrics=openmetrics)
            except Exception as error:
                if failed is None:
                    raise
                failed(name, error)
                continue
        yield text


def _render_family(view: View, name: str, family: Family, *, openmetrics: bool) -> str:
    lines = [(_OPENMETRICS_HEADS if openmetrics else _HEADS)[name]]
    for exposed in family.values():
        text = exposed.text or _render(view, exposed)
        lines.append((openmetrics and exposed.openmetrics) or text)
    text = "".join(lines)
    if openmetrics:
        family.openmetrics = text
    else:
        family.text = text
    return text


def _head(metric: c.Metric, *, openmetrics: bool) -> str:
    name = metric.name.removesuffix("_total") if openmetrics and metric.kind == "counter" else metric.name
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    head = f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n"
    if openmetrics and metric.unit and name.endswith(f"_{metric.unit}"):
        head += f"# UNIT {name} {metric.unit}\n"
    return head


_HEADS = {metric.name: _head(metric, openmetrics=False) for metric in c.CATALOGUE}
_OPENMETRICS_HEADS = {metric.name: _head(metric, openmetrics=True) for metric in c.CATALOGUE}
_BOUNDS = {
    metric.name: [*(f"{float(bound)!r}" for bound in metric.buckets), "+Inf"]
    for metric in c.CATALOGUE
    if isinstance(metric, c.Histogram)
}


def _pattern(exposed: ExposedSeries) -> str:
    """Return the lines of a series, with ``%s`` for each value."""
    labels = ",".join(
        f'{name}="{escape(value)}"' for name, value in zip(exposed.metric.labels, exposed.labels, strict=True)
    ).replace("%", "%%")
    name, braces = exposed.metric.name, f"{{{labels}}}" if labels else ""
    if not isinstance(exposed.metric, c.Histogram):
        return f"{name}{braces} %s\n"
    separator = "," if labels else ""
    buckets = "".join(f'{name}_bucket{{{labels}{separator}le="{bound}"}} %s\n' for bound in _BOUNDS[name])
    return f"{buckets}{name}_sum{braces} %s\n{name}_count{braces} %s\n"


def _render(view: View, exposed: ExposedSeries) -> str:
    pattern = exposed.pattern
    if pattern is None:
        pattern = exposed.pattern = _pattern(exposed)
    value: Value = view.merged(exposed)
    if isinstance(value, tuple):
        total, counts = value
        so_far = (*accumulate(counts),)
        text = pattern % (*so_far, number(total / MICRO), so_far[-1])
        if exposed.exemplars:
            exposed.openmetrics = _with_exemplars(text, exposed.exemplars)
    else:
        assert value is not None
        text = pattern % number(value)
    exposed.text = text
    return text


def _with_exemplars(text: str, exemplars: Mapping[int, Exemplar]) -> str:
    lines = text.split("\n")
    for bucket, (trace, micros, time) in exemplars.items():
        lines[bucket] += f' # {{trace_id="{trace}"}} {number(micros / MICRO)} {time / MICRO!r}'
    return "\n".join(lines)
