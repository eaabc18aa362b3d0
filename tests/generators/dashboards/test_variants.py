"""Dashboards for an old Grafana, and with panel plugins."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from jelmon.errors import ConfigError
from jelmon_generators.compile.objectives import objectives_of
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.render import render
from jelmon_generators.dashboards.variants import Variant
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.targets import Target

Json = dict[str, Any]


def _boards(bundle: Bundle, limits: Limits, variant: Variant) -> dict[str, Json]:
    files = render(limits, objectives_of(bundle), variant)
    return {path: json.loads(text) for path, text in files.items() if path.endswith(".json")}


def _panels(boards: dict[str, Json]) -> Iterator[Json]:
    for board in boards.values():
        for panel in board["panels"]:
            yield from (panel, *panel.get("panels", ()))


@pytest.fixture(scope="module")
def old(bundle: Bundle, limits: Limits) -> dict[str, Json]:
    """The dashboards for Grafana 9.4."""
    return _boards(bundle, limits, Variant(grafana=(9, 4)))


def test_an_old_grafana_gets_no_name_that_it_does_not_know(old: dict[str, Json]) -> None:
    """It would ignore them: cells and tiles without colour, graphs that fail."""
    text = json.dumps(old)

    for name in ("cellOptions", "background_solid", "palette-classic-by-name", '"mapping": "manual"'):
        assert name not in text, name
    assert {board["schemaVersion"] for board in old.values()} == {37}
    assert {panel["pluginVersion"] for panel in _panels(old) if panel["type"] != "row"} == {"9.4.0"}


def test_colours_of_cells_and_tiles_have_their_old_names(old: dict[str, Json]) -> None:
    """Text, whole cells and whole tiles."""
    text = json.dumps(old)

    assert '"id": "custom.displayMode", "value": "color-text"' in text
    assert '"id": "custom.displayMode", "value": "color-background-solid"' in text
    assert '"colorMode": "background"' in text


def test_xy_charts_have_the_old_form(old: dict[str, Json]) -> None:
    """The new one draws every column on an old Grafana."""
    charts = [panel for panel in _panels(old) if panel["type"] == "xychart"]
    assert len(charts) == 2

    for panel in charts:
        assert panel["options"]["seriesMapping"] == "manual"
        assert panel["options"]["dims"] == {"frame": 0}
        for series in panel["options"]["series"]:
            assert {"name", "x", "y", "pointColor"} <= set(series)
    (bubbles,) = [panel for panel in charts if panel["title"].startswith("Impact and frequency")]

    assert {series["pointSize"]["field"] for series in bubbles["options"]["series"]} == {"worst severity"}


def test_ids_places_and_queries_are_the_same(old: dict[str, Json], rendered: dict[str, Json]) -> None:
    """Links of alerts work on either."""

    def essence(boards: dict[str, Json]) -> list[Json]:
        return [
            {name: panel.get(name) for name in ("id", "title", "gridPos", "targets", "type")}
            for _, board in sorted(boards.items())
            for panel in _panels({"": board})
        ]

    assert essence({re.sub(r".*/|\.json", "", path): board for path, board in old.items()}) == essence(rendered)


def test_plugins_replace_the_treemap_and_the_radar(bundle: Bundle, limits: Limits) -> None:
    """And nothing else."""
    plain = list(_panels(_boards(bundle, limits, Variant())))
    plugins = list(_panels(_boards(bundle, limits, Variant(plugins=True))))
    changed = {panel["title"]: panel for panel, before in zip(plugins, plain, strict=True) if panel != before}

    assert {title: panel["type"] for title, panel in changed.items()} == {
        "Test failures by category and reason": "marcusolsson-treemap-panel",
        "Utilization, now and a week ago": "volkovlabs-echarts-panel",
    }
    (failures,) = changed["Test failures by category and reason"]["targets"]

    assert "label_replace" not in failures["expr"]
    assert failures["expr"].count("(") == failures["expr"].count(")")


def test_the_target_names_the_version() -> None:
    """One that nobody has tried is refused."""
    assert Target.parse("grafana=9.4").grafana == (9, 4)
    assert Target.parse("prometheus=2.53").grafana == (11, 1)

    with pytest.raises(ConfigError, match=r"Grafana 8\.5 is too old"):
        Target.parse("grafana=8.5")
