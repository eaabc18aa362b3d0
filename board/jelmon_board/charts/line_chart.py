"""A line over time with its thresholds and its normal range, and the sparkline of a table row."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from jelmon_board.charts import svg
from jelmon_board.model.rules import Threshold
from jelmon_board.model.wording import HUGE, MINUS, duration, in_unit

Scale = Callable[[float], float]
WIDTH, HEIGHT = 360.0, 132.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 4.0, 4.0, 18.0, 16.0
_FAR = 3.0
"""A threshold this many times above the highest value would flatten the line: it is named, not drawn to scale."""
_SECONDS: tuple[float, ...] = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
    86400,
    172800,
    604800,
)


def line_chart(
    values: Sequence[float],
    *,
    title: str,
    unit: str,
    start: float,
    step: float,
    thresholds: Sequence[Threshold] = (),
    band: tuple[float, float] | None = None,
) -> Markup:
    """Return a chart of values on an even grid; NaN leaves a gap. Without any value it says so."""
    values = [max(-HUGE, min(HUGE, value)) if value == value else value for value in values]
    known = [value for value in values if value == value]
    if not known:
        note = svg.text(WIDTH / 2, HEIGHT / 2, "no values in this range", "none", "middle")
        return svg.image(WIDTH, HEIGHT, f"{title}: no values in this range", [note], class_="chart empty")
    highest = max(known)
    most = max(highest * _FAR, 1.0)
    near = [row for row in thresholds if row.value <= most]
    heights = [highest, *(row.value for row in near)]
    top = max([*heights, band[1]] if band and band[1] < highest * _FAR else heights)
    ticks = _ticks(top, unit)
    top = max(ticks[-1], top)
    span = step * max(1, len(values) - 1)

    def x(place: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * place / max(1, len(values) - 1)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * float(min(max(value, 0.0), top) / top)

    parts = _frame(ticks, band if band and band[0] < top else None, y, unit)
    parts += [svg.element("path", d=path, class_=name) for name, path in _paths(values, x, y)]
    parts += _threshold_lines(thresholds, near, y, unit)
    place = max(index for index, value in enumerate(values) if value == value)
    if place >= len(values) - 3:
        parts.append(svg.element("circle", cx=x(place), cy=y(values[place]), r=3.2, class_="last"))
    for share, anchor, words in (
        (0.0, "start", f"{MINUS}{duration(span)}"),
        (0.5, "middle", f"{MINUS}{duration(span / 2)}"),
        (1.0, "end", "now"),
    ):
        parts.append(svg.text(x(share * (len(values) - 1)), HEIGHT - 3, words, "tick", anchor))
    parts.append(svg.element("line", x1=0, x2=0, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="cross"))
    label = _label(title, known, values, unit, thresholds)
    data = ",".join("" if value != value else f"{value:.5g}" for value in values)
    return svg.image(
        WIDTH, HEIGHT, label, parts, class_="chart", data_start=start, data_step=step, data_unit=unit, data_values=data
    )


def sparkline(values: Sequence[float], *, title: str, unit: str) -> Markup:
    """Return a small line without axes."""
    known = [value for value in values if value == value]
    if not known:
        return svg.image(120, 28, f"{title}: no values", [], class_="spark")
    top = max(known) or 1.0

    def x(place: float) -> float:
        return 2 + 116 * place / max(1, len(values) - 1)

    def y(value: float) -> float:
        return 26 - 24 * max(value, 0.0) / top

    parts = [svg.element("path", d=path, class_=name) for name, path in _paths(values, x, y)]
    label = f"{title}: now {in_unit(known[-1], unit)}, between {in_unit(min(known), unit)} and {in_unit(top, unit)}"
    return svg.image(120, 28, label, parts, class_="spark")


def _frame(ticks: Sequence[float], band: tuple[float, float] | None, y: Scale, unit: str) -> list[Markup]:
    """Return the grid with its figures, and the normal range."""
    parts = []
    width = WIDTH - _LEFT - _RIGHT
    if band is not None:
        low, high = y(band[0]), y(band[1])
        parts.append(svg.element("rect", x=_LEFT, y=high, width=width, height=max(1, low - high), class_="band"))
    for tick in ticks:
        parts.append(svg.element("line", x1=_LEFT, x2=_LEFT + width, y1=y(tick), y2=y(tick), class_="grid"))
        if tick:
            parts.append(svg.text(_LEFT, y(tick) - 3, in_unit(tick, unit), "tick"))
    return parts


def _threshold_lines(thresholds: Sequence[Threshold], near: Sequence[Threshold], y: Scale, unit: str) -> list[Markup]:
    """Return the thresholds that fit the scale as lines, and the lowest of the others as a note."""
    parts = []
    for row in near:
        height = y(row.value)
        class_ = f"threshold {_tone(row)}"
        parts.append(svg.element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=height, y2=height, class_=class_))
        words = f"{row.alert} {in_unit(row.value, unit)}"
        parts.append(svg.text(WIDTH - _RIGHT, max(9.0, height - 4), words, f"limit {_tone(row)}", "end"))
    far = sorted((row for row in thresholds if row not in near), key=lambda row: row.value)
    if far and not near:
        words = f"{far[0].alert} at {in_unit(far[0].value, unit)}, above this scale"
        parts.append(svg.text(WIDTH - _RIGHT, 9.0, words, "limit far", "end"))
    return parts


def _tone(row: Threshold) -> str:
    return "critical" if row.severity == "critical" else "warning"


def _paths(values: Sequence[float], x: Scale, y: Scale) -> list[tuple[str, str]]:
    """Return the paths of the area and of the line; a lone value becomes a dot."""
    runs: list[list[int]] = []
    for place, value in enumerate(values):
        if value != value:
            continue
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    line, area = [], []
    for run in runs:
        points = [f"{x(place):.1f} {y(values[place]):.1f}" for place in run]
        if len(points) == 1:
            line.append(f"M{points[0]}h.01")
            continue
        line.append("M" + "L".join(points))
        area.append(f"M{x(run[0]):.1f} {y(0):.1f}L{'L'.join(points)}L{x(run[-1]):.1f} {y(0):.1f}Z")
    return [("area", "".join(area)), ("line", "".join(line))]


def _ticks(top: float, unit: str) -> list[float]:
    """Return 0 and one or two round values up to just above the highest value."""
    if top <= 0 or not math.isfinite(top):
        return [0.0, 1.0]
    if unit == "s" and top >= 1:
        size = next((size for size in _SECONDS if size * 2 >= top), None) or math.ceil(top / 2 / 86400) * 86400
        return [0.0, float(size), 2.0 * size] if top > size else [0.0, float(size)]
    power = 10.0 ** math.floor(math.log10(top / 2))
    size = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * 2 >= top)
    return [0.0, size, 2 * size]


def _label(
    title: str, known: Sequence[float], values: Sequence[float], unit: str, thresholds: Sequence[Threshold]
) -> str:
    latest = next((value for value in reversed(values) if value == value), math.nan)
    words = [
        f"{title}: latest {in_unit(latest, unit)}",
        f"lowest {in_unit(min(known), unit)}",
        f"highest {in_unit(max(known), unit)}",
    ]
    words += [f"{row.alert} fires {'above' if row.above else 'below'} {in_unit(row.value, unit)}" for row in thresholds]
    return ", ".join(words)
