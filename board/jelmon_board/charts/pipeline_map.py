"""The stages of a pipeline as a graph: queues, workers, and cards that flow between them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from jelmon_board.charts import svg
from jelmon_board.model.pipelines import Flow, Stage
from jelmon_board.model.wording import DASH, duration, number, percent

WIDTH, HEIGHT = 182.0, 158.0
_GAP, _ROW_GAP = 66.0, 52.0
_EDGE = 18.0
_ABOVE, _BELOW = 64.0, 52.0
_SPEEDS = ((10.0, 1), (100.0, 2), (1000.0, 3), (float("inf"), 4))
_DOTS, _WORKERS = 14, 12
_STATES = {
    "blocked": "blocked: next queue full",
    "starved": "starved: nothing to do",
    "overdue": "a run exceeds its limit",
    "waiting": "cards wait, no run is open",
}


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.x + WIDTH / 2

    @property
    def center(self) -> float:
        return self.y + HEIGHT / 2


def pipeline_map(stages: Sequence[Stage], flows: Sequence[Flow], *, upright: bool = False) -> Markup:
    """Return the graph, stages in their order: from left to right, or from top to bottom for a narrow screen."""
    order = {stage.name: place for place, stage in enumerate(stages)}
    known = {
        (flow.source, flow.target): flow.per_hour
        for flow in flows
        if flow.source in order and flow.target in order and flow.source != flow.target
    }
    skips = any(order[target] > order[source] + 1 for source, target in known)
    above = _ABOVE if skips else 34.0
    below = _BELOW if any(order[target] < order[source] for source, target in known) else 16.0
    boxes = {
        stage.name: _Box(_EDGE + 40, 34 + place * (HEIGHT + _ROW_GAP))
        if upright
        else _Box(_EDGE + place * (WIDTH + _GAP), above)
        for place, stage in enumerate(stages)
    }
    count = len(stages)
    width = WIDTH + 2 * _EDGE + 80 if upright else count * WIDTH + (count - 1) * _GAP + 2 * _EDGE
    height = 44 + count * HEIGHT + (count - 1) * _ROW_GAP if upright else above + HEIGHT + below
    parts: list[Markup] = []
    for first, second in itertools.pairwise(stages):
        edge = _down if upright else _right
        parts += edge(boxes[first.name], boxes[second.name], known.pop((first.name, second.name), None))
    for (source, target), per_hour in known.items():
        arc = _side if upright else _arc
        parts += arc(boxes[source], boxes[target], per_hour, is_back=order[target] < order[source])
    parts += [_node(stage, boxes[stage.name]) for stage in stages]
    return svg.element(
        "svg",
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        class_="map upright" if upright else "map",
        role="group",
        aria_label="Stages in their order",
    )


def _node(stage: Stage, box: _Box) -> Markup:
    x, y = box.x, box.y
    tone = "limit" if stage.is_limit else stage.tone
    parts = [svg.element("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=10, class_=f"node {tone}")]
    if stage.is_limit:
        parts.append(svg.element("rect", x=x, y=y - 22, width=WIDTH, height=30, rx=10, class_="flag"))
        parts.append(svg.element("rect", x=x + 1.5, y=y, width=WIDTH - 3, height=14, class_="cover"))
        gain = f", gain {duration(stage.gain_seconds)} a card" if stage.gain_seconds else " the pipeline"
        parts.append(svg.text(box.middle, y - 7, f"limits{gain}", "flagged", "middle"))
    parts.append(svg.text(x + 12, y + 23, svg.shortened(stage.name, 22), "name"))
    parts.append(svg.text(x + 12, y + 39, _STATES.get(stage.state, "working"), f"state {stage.state}"))
    parts += _queue(stage, x + 12, y + 60)
    parts += _workers(stage, x + 12, y + 84)
    run = f"run {duration(stage.run_seconds)}"
    parts.append(svg.text(x + 12, y + 113, run, "figure"))
    parts.append(svg.text(x + WIDTH - 12, y + 113, f"queue {duration(stage.wait_seconds)}", "figure", "end"))
    failed = f"{percent(stage.failed)} failed" if stage.failed else "no run failed" if stage.failed is not None else ""
    parts.append(svg.text(x + 12, y + 130, f"{number(stage.per_hour)} runs/h", "small"))
    parts.append(svg.text(x + WIDTH - 12, y + 130, failed, "small bad" if stage.failed else "small", "end"))
    parts += _severity(stage, x + 12, y + 141)
    return svg.element(
        "a",
        svg.element("title", _sentence(stage)),
        *parts,
        href="/stage?" + urlencode({"pipeline": stage.pipeline, "stage": stage.name}),
    )


def _queue(stage: Stage, x: float, y: float) -> list[Markup]:
    waiting = int(stage.queue or 0)
    dots = [
        svg.element("circle", cx=x + 4 + place * 8, cy=y - 4, r=3, class_="waiting")
        for place in range(min(waiting, _DOTS))
    ]
    capacity = f", room {number(stage.queue_capacity)}" if stage.queue_capacity else ""
    words = f"{number(stage.queue)} waiting{capacity}"
    if not dots:
        return [svg.text(x, y, words if stage.queue is not None else "queue unknown", "small")]
    return [
        *dots,
        svg.text(x + WIDTH - 24, y, words if waiting < 6 else f"{number(stage.queue)}{capacity}", "small", "end"),
    ]


def _workers(stage: Stage, x: float, y: float) -> list[Markup]:
    busy = int(stage.busy or 0)
    workers = int(stage.workers or 0)
    blocked = int(stage.blocked)
    shown = min(max(workers, busy), _WORKERS)
    parts = [
        svg.element(
            "rect",
            x=x + place * 9,
            y=y - 9,
            width=7,
            height=9,
            rx=1.5,
            class_="worker blocked" if place < blocked else "worker busy" if place < busy else "worker",
        )
        for place in range(shown)
    ]
    words = f"{busy} of {workers} busy" if workers else f"{number(stage.busy)} busy"
    return [*parts, svg.text(x + WIDTH - 24, y, words, "small", "end")]


def _severity(stage: Stage, x: float, y: float) -> list[Markup]:
    width = WIDTH - 24
    parts = [svg.element("rect", x=x, y=y, width=width, height=6, rx=3, class_="track")]
    if stage.severity:
        tone = "bad" if stage.severity >= 75 else "warn" if stage.severity >= 50 else "good"
        share = max(0.02, min(1.0, stage.severity / 100))
        parts.append(svg.element("rect", x=x, y=y, width=width * share, height=6, rx=3, class_=f"fill {tone}"))
    return parts


def _right(first: _Box, second: _Box, per_hour: float | None) -> list[Markup]:
    start, end, y = first.x + WIDTH, second.x, first.center
    path = f"M{start + 4:g} {y:g}H{end - 6:g}"
    return [
        *_edge(path, per_hour, "edge"),
        svg.element("path", d=f"M{end - 10:g} {y - 5:g}L{end - 3:g} {y:g}L{end - 10:g} {y + 5:g}", class_="head"),
        svg.text((start + end) / 2, y - 11, _per_hour(per_hour), "rate", "middle"),
    ]


def _down(first: _Box, second: _Box, per_hour: float | None) -> list[Markup]:
    start, end, x = first.y + HEIGHT, second.y, first.middle
    parts = _edge(f"M{x:g} {start + 4:g}V{end - 6:g}", per_hour, "edge")
    parts.append(
        svg.element("path", d=f"M{x - 5:g} {end - 10:g}L{x:g} {end - 3:g}L{x + 5:g} {end - 10:g}", class_="head")
    )
    parts.append(svg.text(x + 12, (start + end) / 2 - 4, _per_hour(per_hour), "rate"))
    return parts


def _arc(source: _Box, target: _Box, per_hour: float, *, is_back: bool) -> list[Markup]:
    """Return an edge that skips stages, above them; or one that goes back, below them."""
    y = source.y + HEIGHT + 3 if is_back else source.y - 3
    far = y + _BELOW - 14 if is_back else y - _ABOVE + 20
    start, end = (source.middle - 14, target.middle + 14) if is_back else (source.middle + 14, target.middle - 14)
    path = f"M{start:g} {y:g}C{start:g} {far:g} {end:g} {far:g} {end:g} {y:g}"
    label = svg.text(
        (start + end) / 2, (y + 3 * far) / 4 + (12 if is_back else -5), _per_hour(per_hour), "rate", "middle"
    )
    return [*_edge(path, per_hour, "edge back" if is_back else "edge"), label]


def _side(source: _Box, target: _Box, per_hour: float, *, is_back: bool) -> list[Markup]:
    x = source.x - 3 if is_back else source.x + WIDTH + 3
    far = x - 44 if is_back else x + 44
    start, end = (source.center - 14, target.center + 14) if is_back else (source.center + 14, target.center - 14)
    path = f"M{x:g} {start:g}C{far:g} {start:g} {far:g} {end:g} {x:g} {end:g}"
    label = svg.text((x + 3 * far) / 4, (start + end) / 2, _per_hour(per_hour), "rate", "middle")
    return [*_edge(path, per_hour, "edge back" if is_back else "edge"), label]


def _edge(path: str, per_hour: float | None, class_: str) -> list[Markup]:
    parts = [svg.element("path", d=path, class_=class_)]
    if per_hour:
        speed = next(speed for most, speed in _SPEEDS if per_hour <= most)
        parts.append(svg.element("path", d=path, class_=f"flow s{speed}"))
    return parts


def _per_hour(per_hour: float | None) -> str:
    return f"{number(per_hour)}/h" if per_hour is not None else ""


def _sentence(stage: Stage) -> str:
    words = [
        f"Stage {stage.name}: {_STATES.get(stage.state, 'working')}",
        f"{number(stage.queue)} waiting",
        f"{number(stage.busy)} of {number(stage.workers)} workers busy",
        f"run time {duration(stage.run_seconds)}",
    ]
    if stage.severity is not None:
        words.append(f"cards wait {percent(stage.severity / 100)} of the time")
    if stage.is_limit:
        words.append("it limits the pipeline")
    return ", ".join(words).replace(DASH, "unknown")
