"""What the tests of the dashboards share."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.render import render
from jelmon_generators.load.bundle import load
from jelmon_generators.model.definitions import Bundle

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
Expand = Callable[..., str]

VALUES = {
    "__rate_interval": "8m",
    "__range": "2h",
    "__interval": "1m",
    "job": ".+",
    "instance": ".+",
    "pipeline": ".*",
    "stage": ".*",
}
"""Dashboard variables as Grafana fills them in when everything is chosen."""


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The definitions in ``rules/``."""
    return load(ROOT, []).bundle


@pytest.fixture(scope="session")
def limits(bundle: Bundle) -> Limits:
    """The thresholds of their alerts."""
    return Limits.of(bundle)


@pytest.fixture(scope="session")
def boards(limits: Limits) -> dict[str, Json]:
    """The rendered dashboards by name."""
    return {path.rpartition("/")[2].removesuffix(".json"): json.loads(text) for path, text in render(limits).items()}


@pytest.fixture(scope="session")
def panels(boards: dict[str, Json]) -> dict[str, Json]:
    """Every panel that draws something, by dashboard and title."""
    return {
        f"{name}: {panel['title']}": panel
        for name, board in boards.items()
        for panel in board["panels"]
        if panel["type"] != "row"
    }


@pytest.fixture(scope="session")
def expand() -> Expand:
    """A function that fills in dashboard variables, as Grafana does before it sends a query."""

    def filled(expression: str, values: Mapping[str, str] = VALUES) -> str:
        return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)

    return filled
