"""Stat panels: a number to read at a glance."""

from collections.abc import Iterable, Sequence

from grafanalib import core

from jelmon_generators.dashboards.fields import Json
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, targets
from jelmon_generators.model.dashboards import Panel


def stat(
    panel: Panel,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    unit: str,
    levels: list[Json],
    no_value: str,
    links: Sequence[Json] = (),
    overrides: Iterable[Json] = (),
    mappings: Iterable[Json] = (),
    named: bool = False,
    name_only: bool = False,
    filled: bool = False,
    decimals: int | None = None,
) -> core.Stat:
    """Return a stat panel. Its query is instant, so it never shows a value from before the data stopped.

    ``named`` shows the name of the series beside its value, ``name_only`` instead of it; ``filled`` colours the whole
    tile.
    """
    return core.Stat(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True),
        maxDataPoints=None,
        format=unit,
        decimals=decimals,
        color={"mode": "thresholds"},
        colorMode="background_solid" if filled else "value",
        graphMode="none",
        reduceCalc="lastNotNull",
        textMode="name" if name_only else "value_and_name" if named else "auto",
        noValue=no_value,
        mappings=list(mappings),
        overrides=list(overrides),
        thresholds=levels,
        extraJson={
            "fieldConfig": {"defaults": {"links": list(links)}},
            "options": {"wideLayout": False, "showPercentChange": False, "percentChangeColorMode": "standard"},
        },
    )
