"""The overview on the landing page: the current state, for people who open the exporter in a browser."""

import html
from collections.abc import Iterable, Mapping

from jelmon import catalogue as c
from jelmon_exporter.collectors.probe_result import Result
from jelmon_exporter.series.cells import Value
from jelmon_exporter.series.text import utf8
from jelmon_exporter.serving.view import View

_ROWS = 20


def overview(view: View, probed: Mapping[str, Result], *, now: float) -> str:
    """Return the overview as HTML, with every name escaped."""
    return f"{_figures(view, now)}\n{_pipelines(view, now)}\n{_targets(view, probed)}"


def _figures(view: View, now: float) -> str:
    last = _number(view.value(c.LAST_EVENT))
    figures = (
        ("Events counted", f"{_total(view, c.EVENTS_APPLIED):,.0f}"),
        ("Not yet counted", f"{_total(view, c.CONSUMER_LAG):,.0f}"),
        ("Parked", f"{_total(view, c.EVENTS_PARKED):,.0f}"),
        ("Last event", _ago(last, now)),
        ("Cards in progress", f"{_total(view, c.CARDS_IN_PROGRESS):,.0f}"),
    )
    tiles = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
    return f'<dl class="figures">{tiles}</dl>'


def _pipelines(view: View, now: float) -> str:
    metrics = (c.CARDS_WAITING, c.CARDS_IN_PROGRESS, c.CARDS_FINISHED, c.LAST_ACTIVITY)
    names = {labels[0] for metric in metrics for labels in view.families[metric.name]}
    if not names:
        return '<p class="soft">No pipeline has sent events yet.</p>'
    finished: dict[str, float] = {}
    for labels, shown in view.families[c.CARDS_FINISHED.name].items():
        finished[labels[0]] = finished.get(labels[0], 0) + _number(view.merged(shown))
    busiest = sorted(names, key=lambda name: (-_number(view.value(c.LAST_ACTIVITY, name)), name))
    rows = [
        _row(
            html.escape(utf8(name)),
            f"{_number(view.value(c.CARDS_WAITING, name)):,.0f}",
            f"{_number(view.value(c.CARDS_IN_PROGRESS, name)):,.0f}",
            f"{finished.get(name, 0):,.0f}",
            _ago(_number(view.value(c.LAST_ACTIVITY, name)), now),
        )
        for name in busiest[:_ROWS]
    ]
    heads = _heads("Pipeline", "Waiting", "In progress", "Finished", "Last activity")
    more = f'<p class="soft">and {len(names) - _ROWS} more</p>' if len(names) > _ROWS else ""
    return f'<h2>Pipelines</h2><div class="wide"><table>{heads}{"".join(rows)}</table></div>{more}'


def _targets(view: View, probed: Mapping[str, Result]) -> str:
    """Return the table of targets: with details if they are probed here, else only whether they are up."""
    rows_by_name = {
        name: (result.up, f": {html.escape(result.reason)}", f"{result.seconds * 1000:,.0f} ms")
        for name, result in probed.items()
    }
    if not probed:
        rows_by_name = {
            labels[0]: (view.merged(series) == 1, "", "-") for labels, series in view.families[c.TARGET_UP.name].items()
        }
    if not rows_by_name:
        return ""
    rows = []
    for name, (up, reason, took) in sorted(rows_by_name.items(), key=lambda item: (item[1][0], item[0]))[:_ROWS]:
        state = '<td class="good">up</td>' if up else f'<td class="bad">down{reason}</td>'
        rows.append(f'<tr><td>{html.escape(utf8(name))}</td>{state}<td class="number">{took}</td></tr>')
    heads = '<tr><th>Target</th><th>State</th><th class="number">Probe took</th></tr>'
    more = f'<p class="soft">and {len(rows_by_name) - _ROWS} more</p>' if len(rows_by_name) > _ROWS else ""
    return f'<h2>Services</h2><div class="wide"><table>{heads}{"".join(rows)}</table></div>{more}'


def _heads(first: str, *rest: str) -> str:
    return f"<tr><th>{first}</th>" + "".join(f'<th class="number">{name}</th>' for name in rest) + "</tr>"


def _row(first: str, *rest: str) -> str:
    return f"<tr><td>{first}</td>" + "".join(f'<td class="number">{value}</td>' for value in rest) + "</tr>"


def _total(view: View, metric: c.Counter | c.Gauge) -> float:
    return _sum(view.merged(shown) for shown in view.families[metric.name].values())


def _sum(values: Iterable[Value]) -> float:
    return sum(_number(value) for value in values)


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _ago(moment: float, now: float) -> str:
    """Return how long ago a moment was, in words; a dash if it is unset."""
    if moment <= 0:
        return "-"
    seconds = max(now - moment, 0.0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
