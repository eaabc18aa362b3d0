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


def colours_of(metric: Metric, label: str) -> list[Json]:
    """Return the fixed colours of a label with a closed set of values."""
    return colours({value: _COLOURS[value] for value in metric.closed[label]})


def value_map(words: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Return a mapping of values to words and colours."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def faint(ending: str) -> Json:
    """Return an override that draws fields with this ending dotted and unfilled, in the background."""
    return override_pattern(f".* {ending}", custom__lineStyle={"fill": "dash", "dash": [3, 6]}, custom__fillOpacity=0)


# --- shared by several dashboards ---

STAGE_LEGEND = "{{pipeline}} / {{stage}}"
GONE = "no data"
NO_RULES = "no rules"

FAILURES = steps(GREY, (0, OK), (0.1, WARNING), (0.2, CRITICAL))
"""Thresholds for a failure ratio."""


def change(levels: list[Json]) -> Json:
    """Return the look of a tile's second value, the change from the previous period."""
    return override(
        "change", unit="percentunit", decimals=1, thresholds={"mode": "absolute", "steps": levels}, noValue="-"
    )


CHANGE_OF_FAILURES = change(steps(TEXT, (0.01, WARNING), (0.05, CRITICAL)))

_KEEP = "${__url_time_range}&${prometheus_datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


def go_to(dashboard: str, title: str, *, panel: Panel | None = None, stage: str = "") -> Json:
    """Return a link to another of our dashboards that keeps time range and selection.

    ``stage`` is the template that yields the stage to select.
    """
    selected = f"&var-stage={stage}" if stage else ""
    view = f"&viewPanel={panel.number}" if panel else ""
    return link(title, f"/d/{DASHBOARD_UIDS[dashboard]}?{_KEEP}&${{pipeline:queryparam}}{selected}{view}")


ONLY_STAGE = go_to("bottlenecks", "Show only ${__field.labels.stage}", stage="${__field.labels.stage}")
