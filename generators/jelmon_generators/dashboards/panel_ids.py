"""The panels of our dashboards by title, for the links of alerts."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any


@cache
def panels_of(dashboard: str) -> dict[str, int]:
    """Title -> id of every panel of a dashboard."""
    return _numbers()[dashboard]


@cache
def _numbers() -> dict[str, dict[str, int]]:
    # it takes a while to import, and not every command needs it
    from jelmon_generators.dashboards import render
    from jelmon_generators.dashboards.limits import Limits

    # titles and ids do not depend on the thresholds of alerts, which are not known yet when an alert is checked
    return {
        PurePosixPath(path).stem: {panel["title"]: panel["id"] for panel in _panels(json.loads(text)["panels"])}
        for path, text in render(Limits({})).items()
    }


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        if panel.get("type") == "row":
            yield from _panels(panel.get("panels", []))
        elif panel.get("title"):
            yield panel
