"""How values look: colours, thresholds, links and overrides for single fields."""

from collections.abc import Mapping
from typing import Any

from jelmon.catalogue import Metric
from jelmon_generators.model.dashboards import DASHBOARD_UIDS, Panel

Json = dict[str, Any]

# One meaning, one colour, on all dashboards.
GREY, TEXT = "#8e8e8e", "text"
RATE, DURATION, WAIT = "light-purple", "blue", "semi-dark-orange"
OK, WARNING, CRITICAL = "green", "semi-dark-yellow", "light-red"
_COLOURS = {  # of label values in closed sets
    "success": OK,
    "passed": OK,
    "failure": CRITICAL,
    "failed": CRITICAL,
    "error": "dark-red",
    "timeout": "orange",
    "warned": WARNING,
    "cancelled": GREY,
    "skipped": "light-blue",
    "critical": "dark-red",
    "high": CRITICAL,
    "medium": "orange",
    "low": WARNING,
    "info": "light-blue",
}
EMPTY = "–"  # noqa: RUF001 - a hyphen would look like a minus sign
"""What a cell, a legend or a tooltip shows where one value is missing. A sentence is for a whole panel without data."""


def steps(base: str, *bounds: tuple[float, str]) -> list[Json]:
    """Return threshold steps: ``base`` below the first bound and for "no data", then a colour from each bound."""
    return [{"color": base, "value": None}, *({"color": colour, "value": bound} for bound, colour in bounds)]


def link(title: str, url: str) -> Json:
    return {"title": title, "url": url, "targetBlank": False}


def override(name: str, /, **properties: object) -> Json:
    """Return an override for the field with this name. ``custom__x`` stands for ``custom.x``."""
    return _override({"id": "byName", "options": name}, properties)


def override_pattern(pattern: str, /, **properties: object) -> Json:
    """Return an override for the fields whose names match a pattern."""
    return _override({"id": "byRegexp", "options": pattern}, properties)


def _override(matcher: Json, properties: Mapping[str, object]) -> Json:
    return {
        "matcher": matcher,
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def fixed(colour: str) -> Json:
    return {"mode": "fixed", "fixedColor": colour}


def colours(names: Mapping[str, str]) -> list[Json]:
    """Return a fixed colour for each named series."""
    return [override(name, color=fixed(colour)) for name, colour in names.items()]


def colours_of(metric: Metric, label: str, *, ending: bool = False) -> list[Json]:
    """Return the fixed colours of a label with a closed set of values.

    ``ending``: the value is the last word of the series' name, not all of it.
    """
    values = {value: _COLOURS[value] for value in metric.closed[label]}
    if not ending:
        return colours(values)
    return [override_pattern(f".* {value}", color=fixed(colour)) for value, colour in values.items()]


def value_map(words: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Return a mapping of values to words and colours."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


DASHED = {"custom__lineStyle": {"fill": "dash", "dash": [10, 10]}, "custom__fillOpacity": 0}
"""Properties of an override for a limit that is drawn as a series."""


NO_CELL = {
    "type": "special",
    "options": {"match": "empty", "result": {"text": EMPTY, "color": "transparent", "index": 99}},
}
"""The mapping for a cell of a matrix that no query filled."""


def faint(ending: str) -> Json:
    """Return an override that draws fields with this ending dotted and unfilled, in the background."""
    return override_pattern(f".* {ending}", custom__lineStyle={"fill": "dash", "dash": [3, 6]}, custom__fillOpacity=0)


# --- shared by several dashboards ---

STAGE_LEGEND = "{{pipeline}} / {{stage}}"
GONE = "no data"
NO_RULES = "no rules"

DATABASE_ROW = "(PostgreSQL: ${postgres_datasource:text})"
"""How the title of a row over SQL tables ends: Grafana writes there whether there is such a data source. The row is
collapsed, so that without one nothing is asked and nothing fails."""
NO_DATABASE = "nothing in this time range, or no PostgreSQL data source"

FAILURES = steps(GREY, (0, OK), (0.1, WARNING), (0.2, CRITICAL))
"""Thresholds for a failure ratio."""


def change(levels: list[Json]) -> Json:
    """Return the look of a tile's second value, the change from the previous period."""
    return override(
        "change", unit="percentunit", decimals=1, thresholds={"mode": "absolute", "steps": levels}, noValue=EMPTY
    )


SAMPLE = override("n", unit="locale", decimals=0, thresholds={"mode": "absolute", "steps": steps(TEXT)}, noValue=EMPTY)
"""The look of a tile's third value, the number of cards behind it."""

CHANGE_OF_FAILURES = change(steps(TEXT, (0.01, WARNING), (0.05, CRITICAL)))

# Every link keeps every variable, except for those that it sets itself.
VARIABLES = ("prometheus_datasource", "postgres_datasource", "job", "instance", "pipeline", "stage")


def go_to(dashboard: str, title: str, *, panel: Panel | None = None, pipeline: str = "", stage: str = "") -> Json:
    """Return a link to one of our dashboards that keeps time range and selection.

    ``pipeline`` and ``stage`` are templates that yield what to select instead of the current selection.
    """
    chosen = {"pipeline": pipeline, "stage": stage}
    query = [f"var-{name}={chosen[name]}" if chosen.get(name) else f"${{{name}:queryparam}}" for name in VARIABLES]
    view = [f"viewPanel={panel.number}"] if panel else []
    return link(title, f"/d/{DASHBOARD_UIDS[dashboard]}?{'&'.join(['${__url_time_range}', *query, *view])}")


def stage_of_row(dashboard: str, title: str, *, panel: Panel | None = None) -> Json:
    """Return a link from a row of a table with the columns ``pipeline`` and ``stage``."""
    return go_to(dashboard, title, panel=panel, pipeline="${__data.fields.pipeline}", stage="${__data.fields.stage}")


ONLY_STAGE = go_to(
    "bottlenecks",
    "Show only ${__field.labels.stage}",
    pipeline="${__field.labels.pipeline}",
    stage="${__field.labels.stage}",
)
