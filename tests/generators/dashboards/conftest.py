"""What the tests of the dashboards share."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jelmon_generators.compile.objectives import objectives_of
from jelmon_generators.compile.rules import Recording
from jelmon_generators.compiler import Compilation, compile_bundle
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.render import render
from jelmon_generators.model.definitions import Bundle

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
Expand = Callable[..., str]

VALUES = {
    "__rate_interval": "8m",
    "__range": "2h",
    "__interval": "8m",
    "job": ".+",
    "instance": ".+",
    "pipeline": ".*",
    "stage": ".*",
}
"""Dashboard variables as Grafana fills them in when everything is chosen."""


@pytest.fixture(scope="session")
def compiled() -> Compilation:
    """What ``rules/`` compiles to."""
    return compile_bundle(ROOT)


@pytest.fixture(scope="session")
def bundle(compiled: Compilation) -> Bundle:
    """The definitions in ``rules/``, with the signals and alerts of objectives."""
    return compiled.bundle


@pytest.fixture(scope="session")
def limits(bundle: Bundle) -> Limits:
    """The thresholds of their alerts."""
    return Limits.of(bundle)


@pytest.fixture(scope="session")
def recordings(compiled: Compilation) -> dict[str, frozenset[str]]:
    """Every series that the rules record, with its labels as far as they are known."""
    rules = (rule for group in compiled.groups for rule in group.rules)
    names = {rule.record: frozenset[str]() for rule in rules if isinstance(rule, Recording)}
    return names | {compiled.known.records[name]: labels for name, labels in compiled.known.labels.items()}


@pytest.fixture(scope="session")
def rendered(bundle: Bundle, limits: Limits) -> dict[str, Json]:
    """The rendered dashboards by name, as Grafana reads them."""
    return {
        path.rpartition("/")[2].removesuffix(".json"): json.loads(text)
        for path, text in render(limits, objectives_of(bundle)).items()
        if path.endswith(".json")
    }


@pytest.fixture(scope="session")
def boards(rendered: dict[str, Json]) -> dict[str, Json]:
    """The rendered dashboards by name, with the panels of collapsed rows after their row."""
    return {
        name: {**board, "panels": [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", ()))]}
        for name, board in rendered.items()
    }


@pytest.fixture(scope="session")
def sql_panels(boards: dict[str, Json]) -> dict[str, Json]:
    """Every panel over PostgreSQL, by dashboard and title."""
    return _drawn(boards, "postgres")


@pytest.fixture(scope="session")
def panels(boards: dict[str, Json]) -> dict[str, Json]:
    """Every panel over Prometheus, by dashboard and title."""
    return _drawn(boards, "prometheus")


def _drawn(boards: dict[str, Json], kind: str) -> dict[str, Json]:
    return {
        f"{name}: {panel['title']}": panel
        for name, board in boards.items()
        for panel in board["panels"]
        if panel["type"] != "row" and panel["datasource"]["type"] == kind
    }


@pytest.fixture(scope="session")
def expand() -> Expand:
    """A function that fills in dashboard variables, as Grafana does before it sends a query.

    ``$1`` and ``$$__all`` are of ``label_replace`` and stay.
    """

    def filled(expression: str, values: Mapping[str, str] = VALUES) -> str:
        return re.sub(r"(?<!\$)\$([a-z_]\w*)", lambda match: values[match[1]], expression)

    return filled
