"""How full each resource is, on the dashboard ``bottlenecks``: a radar, and the same as bars."""

from collections.abc import Callable
from math import cos, pi, sin

from grafanalib import core

from jelmon.catalogue import (
    EXPORTER_INFO,
    STAGE_IN_PROGRESS,
    STAGE_QUEUE_CAPACITY,
    STAGE_QUEUE_DEPTH,
    STAGE_WORKERS,
    SYSTEM_CPU,
    SYSTEM_DISK,
    SYSTEM_DISK_IO,
    SYSTEM_MEMORY,
    Gauge,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import CRITICAL, GREY, OK, WARNING, override, steps
from jelmon_generators.dashboards.layout import Line
from jelmon_generators.dashboards.panels.gauges import bar_gauge
from jelmon_generators.dashboards.panels.scatter import Series, xy_chart
from jelmon_generators.model.dashboards import BottlenecksPanel

_WEEK = "7d"
_RING = 0.85
_EDGE = 1.15


def line() -> Line:
    """Return the line of the radar and its twin."""
    return Line(14, [_radar(), _bars()], (10, 14))


def _resources(offset: str = "") -> dict[str, str]:
    def share(gauge: str, whole: str) -> str:
        return f"max({queries.ratio(gauge, whole)})"

    def of(metric: Gauge, *, by: tuple[str, ...] = ()) -> str:
        return queries.gauge(metric, by=by, how="max", offset=offset)

    return {
        "1 CPU": of(SYSTEM_CPU),
        "2 memory": of(SYSTEM_MEMORY),
        "3 disk space": of(SYSTEM_DISK),
        "4 disk I/O": of(SYSTEM_DISK_IO),
        "5 workers": share(of(STAGE_IN_PROGRESS, by=queries.BY_STAGE), of(STAGE_WORKERS, by=queries.BY_STAGE)),
        "6 queues": share(of(STAGE_QUEUE_DEPTH, by=queries.BY_STAGE), of(STAGE_QUEUE_CAPACITY, by=queries.BY_STAGE)),
    }


def _radar() -> core.Panel:
    names = list(_resources())
    fields = {"axis": "axis"}
    for index, name in enumerate(("x", "y", "week x", "week y", "ring x", "ring y")):
        fields[f"Value #{chr(ord('A') + index)}"] = name
    inner = [_scaled(f"ring {axis}", f"warning {axis}") for axis in "xy"]
    return xy_chart(
        BottlenecksPanel.RADAR,
        "How full each resource is, clockwise from the top: "
        + ", ".join(names)
        + f" (the busiest stage). Outer ring: 100 %, inner ring: {_RING:.0%}, dashed: a week ago. A missing "
        "resource counts as 0; the bars beside say which.".replace("%", " %"),
        [
            _polygon(_resources(), sin),
            _polygon(_resources(), cos),
            _polygon(_resources(_WEEK), sin),
            _polygon(_resources(_WEEK), cos),
            _ring(names, sin),
            _ring(names, cos),
        ],
        [
            Series(name="100 %", x="ring x", y="ring y", colour="semi-dark-red"),
            Series(name="85 %", x="warning x", y="warning y", colour="semi-dark-orange"),
            Series(name="a week ago", x="week x", y="week y", colour=GREY),
            Series(name="now", x="x", y="y", colour="blue"),
        ],
        fields=fields,
        transformations=[{"id": "sortBy", "options": {"sort": [{"field": "axis"}]}}, *inner],
        show="lines",
        no_value="exporter gone",
        custom={"axisPlacement": "hidden", "lineWidth": 2},
        low=-_EDGE,
        high=_EDGE,
        overrides=[
            # with all axes hidden Grafana draws a default one
            override(
                "ring y",
                custom__axisPlacement="left",
                custom__axisLabel=" ",
                custom__lineWidth=1,
                mappings=[{"type": "range", "options": {"from": -9, "to": 9, "result": {"text": " ", "index": 0}}}],
            ),
            override("warning y", custom__lineWidth=1),
            override("week y", custom__lineStyle={"fill": "dash", "dash": [8, 8]}),
            override("y", custom__lineWidth=3, custom__show="points+lines"),
        ],
    )


def _scaled(field: str, alias: str) -> dict[str, object]:
    binary = {"left": field, "operator": "*", "right": str(_RING), "reducer": "sum"}
    return {"id": "calculateField", "options": {"mode": "binary", "binary": binary, "alias": alias}}


def _alive() -> str:
    """Return 1 while the exporter is there: without it the radar is empty."""
    return f"max({queries.gauge(EXPORTER_INFO, how='max')})"


def _polygon(shares: dict[str, str], axis: Callable[[float], float]) -> str:
    guarded = {name: f"((({share}) >= 0) or 0 * {_alive()})" for name, share in shares.items()}
    return _closed(guarded, axis)


def _ring(names: list[str], axis: Callable[[float], float]) -> str:
    return _closed(dict.fromkeys(names, _alive()), axis)


def _closed(shares: dict[str, str], axis: Callable[[float], float]) -> str:
    """Return a point for each share, and the last one again, named so that it sorts first."""
    points = []
    for index, (name, share) in enumerate(shares.items()):
        factor = f"{axis(2 * pi * index / len(shares)):.4f}"
        points.append(f'label_replace({share} * {factor}, "axis", "{name}", "", "")')
    last = points[-1].rpartition(', "axis", ')[0] + ', "axis", " ", "", "")'
    return " or ".join([last, *points])


def _bars() -> core.Panel:
    return bar_gauge(
        BottlenecksPanel.UTILIZATION_NOW,
        "Share of each resource in use now: of the exporter's host, of the declared workers of the busiest stage, and "
        "of the fullest queue. A missing bar: nobody declares or measures it.",
        [(name[2:], share) for name, share in _resources().items()],
        levels=steps(GREY, (0, OK), (0.7, WARNING), (_RING, CRITICAL)),
        no_value="exporter gone",
    )
