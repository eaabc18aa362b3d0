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


def exceptions(dashboards: Mapping[str, str]) -> str:
    """Return the text of the file for dashboards by path: the panels that are not filtered by job and instance."""
    entries = [entry for text in dashboards.values() for entry in _entries(text)]
    rule = {"reason": _REASON, "entries": entries}
    rules = dict.fromkeys(("target-job-rule", "target-instance-rule"), rule)
    return _HEAD + yaml.dump({"exclusions": rules}, sort_keys=False, width=118, Dumper=_Plain)


class _Plain(yaml.SafeDumper):
    """Write shared parts out: the linter's reader need not know anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _entries(text: str) -> Iterator[dict[str, str]]:
    board = json.loads(text)
    panels = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", ()))]
    for panel in panels:
        expressions = [target.get("expr", "") for target in panel.get("targets", ())]
        if any(name in expression for expression in expressions for name in (*PROMETHEUS_SERIES, RECORDED)):
            yield {"dashboard": board["title"], "panel": panel["title"]}
