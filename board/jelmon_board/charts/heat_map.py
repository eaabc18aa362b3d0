"""Severity of each stage over time as a heat map, and alerts over time as bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from jelmon_board.charts import svg
from jelmon_board.model.wording import MINUS, duration

_LABEL, _ROW, _WIDTH = 190.0, 24.0, 1100.0
_BOUNDS = (1.0, 25.0, 50.0, 75.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time in a row of the timeline; shares of the width, from 0 to 1."""

    start: float
    end: float
    tone: str
    words: str


def heat_map(
    rows: Mapping[tuple[str, str], Sequence[float]], *, seconds: float, with_pipeline: bool, linked: bool = True
) -> Markup:
    """Return a row for each stage; the colour of a cell is the highest severity in it, and its words name it."""
    parts: list[Markup] = []
    for place, ((pipeline, stage), cells) in enumerate(rows.items()):
        y = place * _ROW
        name = f"{pipeline} / {stage}" if with_pipeline else stage
        address = "/stage?" + urlencode({"pipeline": pipeline, "stage": stage})
        label = svg.text(_LABEL - 8, y + 16, svg.shortened(name, 30), "row", "end")
        parts.append(svg.element("a", label, href=address) if linked else label)
        width = (_WIDTH - _LABEL) / max(1, len(cells))
        for column, value in enumerate(cells):
            if value != value:
                continue
            ago = duration(seconds * (1 - (column + 0.5) / len(cells)))
            parts.append(
                svg.element(
                    "rect",
                    svg.element("title", f"{name}, {ago} ago: severity {value:.0f} of 100"),
                    x=_LABEL + column * width,
                    y=y + 2,
                    width=max(1.0, width - 1),
                    height=_ROW - 4,
                    class_=f"heat h{sum(value >= bound for bound in _BOUNDS)}",
                )
            )
    return _framed(parts, len(rows), seconds, "Severity of the stages over time, darker is worse", "heatmap")


def timeline(rows: Sequence[tuple[str, Sequence[Bar]]], *, seconds: float) -> Markup:
    """Return a row for each alert with a bar for each time it fired."""
    parts: list[Markup] = []
    for place, (name, bars) in enumerate(rows):
        y = place * _ROW
        parts.append(svg.text(_LABEL - 8, y + 16, svg.shortened(name, 30), "row", "end"))
        parts.append(svg.element("line", x1=_LABEL, x2=_WIDTH, y1=y + 12, y2=y + 12, class_="grid"))
        for bar in bars:
            width = max(3.0, (bar.end - bar.start) * (_WIDTH - _LABEL))
            title = svg.element("title", bar.words)
            x = _LABEL + bar.start * (_WIDTH - _LABEL)
            parts.append(
                svg.element("rect", title, x=x, y=y + 5, width=width, height=14, rx=3, class_=f"bar {bar.tone}")
            )
    return _framed(parts, len(rows), seconds, "When alerts fired", "timeline")


def _framed(parts: list[Markup], rows: int, seconds: float, label: str, class_: str) -> Markup:
    bottom = rows * _ROW + 14
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        words = "now" if share == 1 else f"{MINUS}{duration(seconds * (1 - share))}"
        anchor = "end" if share == 1 else "start" if share == 0 else "middle"
        parts.append(svg.text(_LABEL + share * (_WIDTH - _LABEL), bottom, words, "tick", anchor))
    return svg.element(
        "svg", *parts, viewBox=f"0 0 {_WIDTH:g} {bottom + 6:g}", class_=class_, role="group", aria_label=label
    )
