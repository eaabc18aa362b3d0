"""The 17 rules of github.com/grafana/dashboard-linter, as tests; each is shown to find its fault.

Stricter than the linter where its own code has holes: all panel types are looked at, a counter is what the catalogue
says, and an empty list of mappings does not excuse a missing unit.
"""

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promql_parser as parser
import pytest
import yaml

from jelmon.catalogue import BY_SERIES, Counter
from jelmon_generators.dashboards.queries import PROMETHEUS_SERIES, RECORDED

Json = dict[str, Any]
Rule = Callable[[Json], list[str]]

_UNITS = {"short", "none", "percentunit", "s", "ops", "Bps", "locale", "dateTimeFromNow"}
"""Those that we use of the linter's own list, which is older than Grafana's."""
_SOURCES = {"${prometheus_datasource}", "${postgres_datasource}"}
# durations that stand out, as in the linter
_SAMPLES = {"__rate_interval": "8869990s", "__range": "6069770s", "__interval": "4867856s"}


def _panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def _targets(board: Json) -> Iterator[tuple[Json, Json]]:
    for panel in _panels(board):
        for target in panel.get("targets", []):
            if target["datasource"]["type"] != "postgres":  # excused in .lint
                yield panel, target


def _variables(board: Json, kind: str) -> list[Json]:
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def _expand(expression: str) -> str:
    return re.sub(r"\$(__\w+)\b", lambda match: _SAMPLES.get(match[1], match[0]), expression)


def _walk(node: Any, parent: Any = None) -> Iterator[tuple[Any, Any]]:
    yield node, parent
    inner = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")]
    for child in (*inner, *(getattr(node, "args", None) or ())):
        if child is not None:
            yield from _walk(child, node)


def _nodes(board: Json) -> Iterator[tuple[str, Any, Any]]:
    for panel, target in _targets(board):
        try:
            tree = parser.parse(_expand(target["expr"]))
        except ValueError:
            continue  # another rule
        for node, parent in _walk(tree):
            yield panel["title"], node, parent


# --- the rules ---


def template_datasource(board: Json) -> list[str]:
    sources = [(source["name"], source["label"], source["query"]) for source in _variables(board, "datasource")]
    wanted = [
        ("prometheus_datasource", "Prometheus data source", "prometheus"),
        ("postgres_datasource", "Postgres data source", "postgres"),
    ]
    return [] if sources == wanted else [f"data source variables {sources}"]


def _template(board: Json, name: str) -> list[str]:
    found = [variable for variable in board["templating"]["list"] if variable["name"] == name]
    if len(found) != 1:
        return [f"{len(found)} variables {name}"]
    variable = found[0]
    wanted = {"type": "query", "multi": True, "allValue": ".+", "label": name.title()}
    faults = [f"{name}: {key} is {variable.get(key)!r}" for key, value in wanted.items() if variable.get(key) != value]
    return faults + ([] if variable["datasource"]["uid"] in _SOURCES else [f"{name}: another data source"])


def template_job(board: Json) -> list[str]:
    return _template(board, "job")


def template_instance(board: Json) -> list[str]:
    return _template(board, "instance")


def template_label_promql(board: Json) -> list[str]:
    faults = []
    for variable in _variables(board, "query"):
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        try:
            parser.parse(match[1] if match else "")
        except ValueError as error:
            faults.append(f"{variable['name']}: {error}")
    return faults


def template_on_time_change_reload(board: Json) -> list[str]:
    return [variable["name"] for variable in _variables(board, "query") if variable.get("refresh") != 2]


def panel_datasource(board: Json) -> list[str]:
    return [panel["title"] for panel in _panels(board) if panel.get("datasource", {}).get("uid") not in _SOURCES]


def panel_title_description(board: Json) -> list[str]:
    return [str(panel["id"]) for panel in _panels(board) if not (panel.get("title") and panel.get("description"))]


def panel_units(board: Json) -> list[str]:
    faults = []
    for panel in _panels(board):
        config = panel["fieldConfig"]
        units = [config["defaults"].get("unit")]
        units += [
            entry["value"] for field in config["overrides"] for entry in field["properties"] if entry["id"] == "unit"
        ]
        faults += [f"{panel['title']}: {unit}" for unit in units if unit not in _UNITS]
    return faults


def panel_no_targets(board: Json) -> list[str]:
    return [panel["title"] for panel in _panels(board) if not panel.get("targets")]


def target_promql(board: Json) -> list[str]:
    faults = []
    for panel, target in _targets(board):
        try:
            parser.parse(_expand(target["expr"]))
        except ValueError as error:
            faults.append(f"{panel['title']}: {error}")
    return faults


def target_rate_interval(board: Json) -> list[str]:
    wanted = parser.parse_duration(_SAMPLES["__rate_interval"])
    return [
        title
        for title, node, parent in _nodes(board)
        if isinstance(node, parser.MatrixSelector)
        if isinstance(parent, parser.Call) and parent.func.name in ("rate", "irate") and node.range != wanted
    ]


def _excused(series: str) -> bool:
    """Whether the series is one of those that ``.lint`` excuses."""
    return series in PROMETHEUS_SERIES or series.startswith(RECORDED)


def _required_matcher(board: Json, label: str) -> list[str]:
    return [
        title
        for title, node, _ in _nodes(board)
        if isinstance(node, parser.VectorSelector) and not _excused(node.name or "")
        if (label, parser.MatchOp.Re, f"${label}") not in [(m.name, m.op, m.value) for m in node.matchers.matchers]
    ]


def target_job(board: Json) -> list[str]:
    return _required_matcher(board, "job")


def target_instance(board: Json) -> list[str]:
    return _required_matcher(board, "instance")


def target_counter_agg(board: Json) -> list[str]:
    faults = []
    for panel, target in _targets(board):
        try:
            tree = parser.parse(_expand(target["expr"]))
        except ValueError:
            continue
        taken = [
            call.args[0].vector_selector.name
            for call, _ in _walk(tree)
            if isinstance(call, parser.Call) and call.func.name in ("rate", "irate", "increase")
        ]
        counters = [
            node.name
            for node, _ in _walk(tree)
            if isinstance(node, parser.VectorSelector) and isinstance(BY_SERIES.get(node.name or ""), Counter)
        ]
        faults += [panel["title"] for name in counters if name not in taken]
    return faults


def _loki(board: Json) -> list[str]:
    return [panel["title"] for panel, target in _targets(board) if target["datasource"]["type"] != "prometheus"]


def target_logql(board: Json) -> list[str]:
    return _loki(board)


def target_logql_auto(board: Json) -> list[str]:
    return _loki(board)


def uneditable_dashboard(board: Json) -> list[str]:
    return [] if board["editable"] is False else ["editable"]


# --- how each rule is broken on purpose ---


def _set(*path: str | int, value: object) -> Callable[[Json], None]:
    def change(board: Json) -> None:
        place: Any = board
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


_EXPR = ("panels", 0, "targets", 0, "expr")
_VARIABLE = ("templating", "list")
_LOKI = _set("panels", 0, "targets", 0, "datasource", value={"type": "loki", "uid": "x"})

RULES: dict[Rule, Callable[[Json], None]] = {
    template_datasource: _set(*_VARIABLE, 0, "name", value="datasource"),
    template_job: _set(*_VARIABLE, 2, "allValue", value=".*"),
    template_instance: _set(*_VARIABLE, 3, "multi", value=False),
    template_label_promql: _set(*_VARIABLE, 4, "query", value="label_values(x{, pipeline)"),
    template_on_time_change_reload: _set(*_VARIABLE, 4, "refresh", value=1),
    panel_datasource: _set("panels", 0, "datasource", "uid", value="abc"),
    panel_title_description: _set("panels", 0, "description", value=None),
    panel_units: _set("panels", 0, "fieldConfig", "defaults", "unit", value="parsecs"),
    panel_no_targets: _set("panels", 0, "targets", value=[]),
    target_promql: _set(*_EXPR, value="sum("),
    target_rate_interval: _set(*_EXPR, value="rate(jelmore_cards_finished_total[5m])"),
    target_job: _set(*_EXPR, value='jelmore_cards_in_progress{instance=~"$instance"}'),
    target_instance: _set(*_EXPR, value='jelmore_cards_in_progress{job=~"$job", instance="$instance"}'),
    target_counter_agg: _set(*_EXPR, value='sum(jelmore_cards_finished_total{outcome="success"})'),
    target_logql: _LOKI,
    target_logql_auto: _LOKI,
    uneditable_dashboard: _set("editable", value=True),
}


def _name(rule: Rule) -> str:
    return rule.__name__.replace("_", "-")


@pytest.mark.parametrize("board", ["pipeline", "quality", "bottlenecks"])
@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_dashboard_keeps_the_rule(rule: Rule, board: str, boards: dict[str, Json]) -> None:
    """Nothing is found."""
    assert rule(boards[board]) == []


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_rule_finds_its_fault(rule: Rule, boards: dict[str, Json]) -> None:
    """A rule that could not fail would prove nothing."""
    broken = copy.deepcopy(boards["pipeline"])
    RULES[rule](broken)

    assert rule(broken) != []


def test_there_are_all_17_rules() -> None:
    """As many as the linter has."""
    assert len(RULES) == 17


def test_exactly_the_panels_over_alerts_and_recordings_are_excused(boards: dict[str, Json], root: Path) -> None:
    """The linter's own list of excuses names every panel that asks for ALERTS or a recording, and no other."""
    excuses = yaml.safe_load((root / "grafana/dashboards/.lint").read_text(encoding="utf-8"))["exclusions"]
    drawn = {
        (board["title"], panel["title"])
        for board in boards.values()
        for panel, target in _targets(board)
        if "ALERTS" in target["expr"] or RECORDED in target["expr"]
    }

    queries = {
        (board["title"], panel["title"])
        for board in boards.values()
        for panel in _panels(board)
        if panel["datasource"]["type"] == "postgres"
    }

    assert set(excuses) == {"target-promql-rule", "target-job-rule", "target-instance-rule"}
    for name, rule in excuses.items():
        expected = queries if name == "target-promql-rule" else drawn
        assert {(entry["dashboard"], entry["panel"]) for entry in rule["entries"]} == expected
        assert rule["reason"]
