"""How values look: colours, thresholds, links, and settings for single fields of a panel."""

from collections.abc import Mapping
from typing import Any

from jelmon.catalogue import Metric
from jelmon_generators.model.dashboards import DASHBOARD_UIDS, Panel

Json = dict[str, Any]

# One meaning, one colour, on all dashboards.
GREY, TEXT = "#8e8e8e", "text"
RATE, DURATION, WAIT = "light-purple", "blue", "semi-dark-orange"
OK, WARNING, CRITICAL = "green", "semi-dark-yellow", "light-red"
_COLOURS = {  # of label values that are closed sets
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
    """Threshold steps: a colour below the first bound (which is also that of "no data"), then one from each bound."""
    return [{"color": base, "value": None}, *({"color": colour, "value": bound} for bound, colour in bounds)]


def link(title: str, url: str) -> Json:
    return {"title": title, "url": url, "targetBlank": False}


def override(name: str, /, **properties: object) -> Json:
    """Other settings for the field of one name. ``custom__x`` stands for ``custom.x``."""
    return _override({"id": "byName", "options": name}, properties)


def override_pattern(pattern: str, /, **properties: object) -> Json:
    """Other settings for the fields whose names match a pattern."""
    return _override({"id": "byRegexp", "options": pattern}, properties)


def _override(matcher: Json, properties: Mapping[str, object]) -> Json:
    return {
        "matcher": matcher,
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def fixed(colour: str) -> Json:
    return {"mode": "fixed", "fixedColor": colour}


def colours(names: Mapping[str, str]) -> list[Json]:
    """One fixed colour for each named series."""
    return [override(name, color=fixed(colour)) for name, colour in names.items()]


def colours_of(metric: Metric, label: str) -> list[Json]:
    """The fixed colours of a label whose values are a closed set."""
    return colours({value: _COLOURS[value] for value in metric.closed[label]})


def value_map(words: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Words and colours instead of numbers."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def faint(ending: str) -> Json:
    """Dotted and without filling: the fields whose names end so stay in the background."""
    return override_pattern(f".* {ending}", custom__lineStyle={"fill": "dash", "dash": [3, 6]}, custom__fillOpacity=0)


# --- what several dashboards say alike ---

STAGE_LEGEND = "{{pipeline}} / {{stage}}"
GONE = "no data"
NO_RULES = "no rules"

FAILURES = steps(GREY, (0, OK), (0.1, WARNING), (0.2, CRITICAL))
"""Thresholds for a share of failures."""


def change(levels: list[Json]) -> Json:
    """How a tile's second value looks, which says by how much the first differs from the period before."""
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
