"""The exceptions from github.com/grafana/dashboard-linter, in the form that it reads."""

import json
from collections.abc import Iterator, Mapping

import yaml

from jelmon_generators.dashboards.queries import PROMETHEUS_SERIES, RECORDED

PATH = "grafana/dashboards/.lint"

_HEAD = "# generated from generators/jelmon_generators/dashboards/lint.py, do not edit\n"
_REASON = (
    "ALERTS and recorded signals carry the labels of the alert or signal. One over aggregated replicas is of no single"
    " instance, and one that misses something has no job either: with the matchers it would vanish when it matters."
)
_SQL = "SELECT"
_SQL_REASON = "SQL of PostgreSQL: the linter takes a target without PromQL for an empty one."


def exceptions(dashboards: Mapping[str, str]) -> str:
    """Return the text of the file for dashboards by path: the panels that are not filtered by job and instance."""
    everywhere = [entry for text in dashboards.values() for entry in _entries(text, *PROMETHEUS_SERIES, RECORDED)]
    unfiltered = {"reason": _REASON, "entries": everywhere}
    queries = [entry for text in dashboards.values() for entry in _entries(text, _SQL)]
    rules = {
        "target-promql-rule": {"reason": _SQL_REASON, "entries": queries},
        "target-job-rule": unfiltered,
        "target-instance-rule": unfiltered,
    }
    return _HEAD + yaml.dump({"exclusions": rules}, sort_keys=False, width=118, Dumper=_Plain)


class _Plain(yaml.SafeDumper):
    """Write shared parts out: the linter's reader need not know anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _entries(text: str, *names: str) -> Iterator[dict[str, str]]:
    board = json.loads(text)
    panels = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", ()))]
    for panel in panels:
        expressions = [target.get("expr", _SQL) for target in panel.get("targets", ())]
        if any(name in expression for expression in expressions for name in names):
            yield {"dashboard": board["title"], "panel": panel["title"]}
