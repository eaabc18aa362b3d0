"""The panels of our dashboards by title, for the links of alerts."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any


@cache
def rendered() -> dict[str, str]:
    """The dashboards, rendered once in a run: they depend on nothing but the code."""
    from jelmon.generators import dashboards  # it takes a while to import, and not every command needs it

    return dashboards.render()


@cache
def panels_of(dashboard: str) -> dict[str, int]:
    """Title -> id of every panel of a dashboard."""
    files = {PurePosixPath(path).stem: text for path, text in rendered().items()}
    return {panel["title"]: panel["id"] for panel in _panels(json.loads(files[dashboard])["panels"])}


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        if panel.get("type") == "row":
            yield from _panels(panel.get("panels", []))
        elif panel.get("title"):
            yield panel
