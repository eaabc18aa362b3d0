"""Comparing rules by meaning, trying them on history, and loading them, with the real servers."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon.bundle import rules_file
from jelmon.cli import main
from jelmon.config.settings import parse_duration
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.live.backtest import Episode, episodes, query
from jelmon_generators.live.http_api import prometheus
from jelmon_generators.live.plan import Facts, compiled_facts, differences, routing_differences

HERE = Path(__file__).parents[1] / "bundle"
KEY = ("alert", "A", "a")
OLD = Facts("x > 5", 300.0, 0.0, {"severity": "warning"}, {"summary": "s"})


@pytest.mark.parametrize(
    ("new", "details"),
    [
        (replace(OLD, expression="(x) > 5"), ["condition: x > 5", "        -> (x) > 5"]),
        (replace(OLD, expression="x  >\n 5"), []),
        (replace(OLD, expression="x > 3"), ["condition: 5 -> 3"]),
        (replace(OLD, expression="x < 5"), ["condition: x > 5", "        -> x < 5"]),
        (replace(OLD, for_seconds=600.0), ["for: 5m -> 10m"]),
        (replace(OLD, labels={"severity": "critical"}), ["label severity: warning -> critical"]),
        (replace(OLD, annotations={}), ["annotation summary: s -> none"]),
    ],
    ids=["parentheses are shown", "white space", "threshold", "operator", "for", "severity", "annotation"],
)
def test_a_change_is_said_by_what_it_means(new: Facts, details: list[str]) -> None:
    """Only what differs."""
    found = differences({KEY: OLD}, {KEY: new})

    assert [list(one.details) for one in found] == ([details] if details else [])


def test_added_and_removed_rules() -> None:
    """By name."""
    found = differences({KEY: OLD}, {("recording", "r", ""): Facts("up")})

    assert [str(one) for one in found] == ["- alert A (a)", "+ recording r"]


@pytest.mark.parametrize("own", [True, False], ids=["our bundle", "the small bundle"])
def test_every_rule_is_compared(own: bool, root: Path, bundle: Path) -> None:
    """No two rules are taken for one: levels of an alert, clocks, windows."""
    made = compile_bundle(root if own else bundle)

    assert len(compiled_facts(made)) == sum(len(group.rules) for group in made.groups)


def test_routes_are_compared_as_alertmanager_gives_them() -> None:
    """It sorts matchers and adds ``continue: false``."""
    old = {
        "route": {"receiver": "a", "continue": False, "routes": [{"receiver": "a", "matchers": ['a="1"', 'b="2"']}]},
        "receivers": [{"name": "a", "webhook_configs": [{"url": "<secret>"}]}],
    }
    new = {
        "route": {"receiver": "a", "routes": [{"receiver": "b", "matchers": ['b="2"', 'a="1"']}]},
        "receivers": [{"name": "a", "webhook_configs": [{"url": "http://x"}]}, {"name": "b"}],
    }

    assert routing_differences(old, old | {"route": new["route"]}) == ['~ route a="1" b="2": receiver a -> b']
    assert routing_differences(old, new)[0] == "+ receiver b"


@given(
    held=st.lists(st.booleans(), max_size=60),
    waits=st.integers(0, 5),
    keeps=st.integers(0, 5),
)
def test_simulated_firing_equals_a_slow_walk(held: list[bool], waits: int, keeps: int) -> None:
    """Step by step as Prometheus does it: pending, firing, kept firing."""
    moments = [float(place) for place, holds in enumerate(held) if holds]

    found = episodes(moments, step=1.0, for_seconds=float(waits), keep_seconds=float(keeps))

    slow: list[Episode] = []
    active_since: int | None = None
    firing_since: int | None = None
    gone_since: int | None = None
    for place, holds in enumerate([*held, *[False] * (keeps + 2)]):
        if holds:
            gone_since = None
            active_since = place if active_since is None else active_since
            if firing_since is None and place - active_since >= waits:
                firing_since = place
        elif firing_since is not None:
            gone_since = place if gone_since is None else gone_since
            if place - gone_since >= keeps:
                slow.append(Episode(float(firing_since), float(place)))
                active_since = firing_since = gone_since = None
        else:
            active_since = None
    assert found == slow


def test_a_query_over_history_needs_no_recording() -> None:
    """A new signal has no history under its own name."""
    made = compile_bundle(HERE)
    one = next(one for one in made.compiled if one.alert.rule_id == "queue_long")

    assert "jelmore:" not in query(one, made)
    assert "(max without (instance, pod) (jelmore_stage_queue_depth))" in query(one, made)


def test_every_condition_of_ours_can_be_asked_of_history(root: Path) -> None:
    """Objectives and regressions read recordings of recordings; what is left is what no expression can give."""
    made = compile_bundle(root)
    queries = {one.alert.rule_id: query(one, made) for one in made.compiled}

    assert {name for text in queries.values() for name in re.findall(r"jelmore:[\w:]+", text)} <= {
        "jelmore:maintenance:active"
    }
    for text in queries.values():
        promql_parser.parse(text)


REGRESSION = """
  - rule_id: slower
    summary: Slower
    description: By {{ $value }}
    metric_path: processing_seconds
    operator: regression
    threshold: 0.5
    baseline: {window: 2h, minimum_samples: 60}
    duration_minutes: 5
    severity: warning
"""
SIGNAL = """
  processing_seconds:
    description: Time per card.
    unit: seconds
    direction: up
    expr: |
      sum by (job, pipeline) (max without (instance, pod) (increase(jelmore_card_processing_seconds_sum[5m])))
      / (sum by (job, pipeline) (max without (instance, pod) (increase(jelmore_card_processing_seconds_count[5m]))) > 0)
"""


def history(folder: Path, promtool: Path, now: int) -> None:
    """Six hours of raw counters: half an hour of failures, later half an hour of cards that take twice as long."""
    finished, processing = "jelmore_cards_finished", "jelmore_card_processing_seconds"
    labels = 'job="jelmon-exporter",instance="a",pipeline="checkout"'
    lines = [f"# TYPE {finished} counter", f"# TYPE {processing}_sum gauge", f"# TYPE {processing}_count gauge"]
    failures, seconds = 0, 0
    samples: dict[str, list[str]] = {"success": [], "failure": [], "sum": [], "count": []}
    for minute in range(361):
        at = now - (360 - minute) * 60
        failures += 5 if 180 < minute <= 210 else 0
        seconds += 2000 if 300 < minute <= 330 else 1000
        samples["success"].append(f'{finished}_total{{{labels},outcome="success"}} {minute * 10} {at}')
        samples["failure"].append(f'{finished}_total{{{labels},outcome="failure"}} {failures} {at}')
        samples["sum"].append(f"{processing}_sum{{{labels}}} {seconds} {at}")
        samples["count"].append(f"{processing}_count{{{labels}}} {minute * 10} {at}")
    lines = [lines[0], *samples["success"], *samples["failure"], lines[1], *samples["sum"], lines[2], *samples["count"]]
    up = [f'up{{job="jelmon-exporter",instance="a"}} 1 {now - minute * 60}' for minute in range(360, -1, -1)]
    text = folder / "history.txt"
    text.write_text("\n".join([*lines, "# TYPE up gauge", *up, "# EOF\n"]))
    command = ["tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "prometheus")]
    subprocess.run([str(promtool), *command], check=True, capture_output=True)


def test_objectives_and_regressions_are_tried_on_history(
    bundle: Path, tool: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prometheus holds raw counters and not one recording of ours; what has no history is said."""
    for name, text in (("signals.yaml", SIGNAL), ("alerts/all.yaml", REGRESSION)):
        with (bundle / "rules" / name).open("a") as file:
            file.write(text)
    (bundle / "docs/runbooks/Slower.md").write_text("# Slower\n")
    assert main(["generate", "--root", str(bundle)]) == 0
    history(tmp_path, tool("promtool"), int(time.time()))
    config = tmp_path / "prometheus.yml"
    config.write_text("{}")
    with Processes(tmp_path / "logs") as processes:
        prometheus = launch.prometheus(processes, tool("prometheus"), tmp_path / "prometheus", config)
        config = bundle / "alertmanager/alertmanager.yml"
        alertmanager = launch.alertmanager(processes, tool("alertmanager"), tmp_path / "am", config)
        arguments = ["--root", str(bundle), "--prometheus.url", prometheus, "--alertmanager.url", alertmanager]
        capsys.readouterr()
        assert main(["rules", "plan", "--all", "--backtest", "6h", *arguments]) == 1

    table = capsys.readouterr().out.split("levels reached\n")[1]
    rows = {line.split()[0]: line.split(maxsplit=4) for line in table.splitlines()}
    # what the rules themselves do when promtool evaluates them over these samples
    for name, minutes in (("Slower", 24.25), ("DeliveriesBudgetBurnFast", 65.75), ("DeliveriesBudgetBurnSlow", 178)):
        assert rows[name][1] == "1", table
        assert parse_duration(rows[name][2], name="") == pytest.approx(minutes * 60, abs=300), table
    assert "(no history of jelmore_analyzer_last_success_timestamp_seconds, " in table
    assert rows["TooSlow"][1] == "0"
    assert "cannot be backtested: no history of jelmore_stage_queue_capacity, jelmore_stage_queue_depth\n" in table


class Servers(NamedTuple):
    """Where they are."""

    prometheus: str
    alertmanager: str


@pytest.fixture
def running(bundle: Path, tool: Callable[[str], Path], tmp_path: Path) -> Iterator[Servers]:
    """Prometheus and Alertmanager on the generated files of the small bundle."""
    assert main(["generate", "--root", str(bundle)]) == 0
    config = bundle / "prometheus.yml"
    config.write_text(json.dumps({"rule_files": [str(bundle / "deploy/prometheus/rules/*.yml")]}))
    with Processes(tmp_path / "logs") as processes:
        yield Servers(
            launch.prometheus(processes, tool("prometheus"), tmp_path / "prometheus", config),
            launch.alertmanager(
                processes, tool("alertmanager"), tmp_path / "am", bundle / "alertmanager/alertmanager.yml"
            ),
        )


def test_plan_apply_and_undo(bundle: Path, running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to do; a threshold and a receiver change; they are loaded; a file that is refused changes nothing."""
    arguments = ["--root", str(bundle), "--prometheus.url", running.prometheus]
    arguments += ["--alertmanager.url", running.alertmanager]
    assert main(["rules", "plan", *arguments]) == 0
    assert capsys.readouterr().out.endswith("nothing would change\n")

    alerts, channels = bundle / "rules/alerts/all.yaml", bundle / "rules/channels.yaml"
    alerts.write_text(alerts.read_text().replace("threshold: 10\n", "threshold: 12\n"))
    channels.write_text(channels.read_text().replace("channels: [pager, chat]", "channels: [pager]"))
    assert main(["rules", "plan", "--backtest", "1h", *arguments]) == 1
    plan = capsys.readouterr().out
    assert "~ alert TooSlow (too_slow)\n    condition: 10 -> 12\n" in plan
    assert '~ route severity="critical": receiver responder+pager+chat -> responder+pager\n' in plan
    assert f"{'TooSlow':<36} cannot be backtested: no history of jelmore_cards_finished_total\n" in plan

    assert main(["rules", "apply", *arguments]) == 0
    assert "the loaded rules match the written files" in capsys.readouterr().err
    assert main(["rules", "plan", *arguments]) == 0
    responder = bundle / rules_file.PATH
    assert rules_file.decode(responder.read_bytes()).fingerprint == loaded_fingerprint(running)

    rules = bundle / "deploy/prometheus/rules/cards_per_hour.yml"
    before = rules.read_text(), responder.read_text()
    alerts.write_text(alerts.read_text().replace("threshold: 12\n", "threshold: 13\n"))
    (bundle / "prometheus.yml").write_text("{not: [yaml")
    capsys.readouterr()
    assert main(["rules", "apply", *arguments]) == 1
    message = capsys.readouterr().err
    assert "/-/reload: 500" in message
    assert (rules.read_text(), responder.read_text()) == before


def loaded_fingerprint(servers: Servers) -> int:
    """The fingerprint of the rules that Prometheus evaluates, as it records it."""
    rules = prometheus(servers.prometheus).get("/api/v1/rules")["data"]
    expressions = [
        rule["query"]
        for group in rules["groups"]
        for rule in group["rules"]
        if rule["name"] == "jelmore:rules:fingerprint"
    ]
    return round(float(expressions[0].removeprefix("vector(").removesuffix(")")))


@pytest.fixture
def by_the_guide(bundle: Path, tool: Callable[[str], Path], tmp_path: Path) -> Iterator[tuple[Path, Servers]]:
    """An installation as docs/guides/running.md describes it: one folder for both servers, flat; and their URLs."""
    installed = tmp_path / "etc"
    for path, text in generate(bundle).items():
        for start, folder in (("deploy/prometheus/rules/", "rules"), ("alertmanager/templates/", "templates")):
            if path.startswith(start):
                (installed / folder).mkdir(parents=True, exist_ok=True)
                (installed / folder / Path(path).name).write_text(text)
    (installed / "alertmanager.yml").write_text(generate(bundle)["alertmanager/alertmanager.yml"])
    (installed / "rules.json").write_text(generate(bundle)[rules_file.PATH])
    config = installed / "prometheus.yml"
    config.write_text(json.dumps({"rule_files": ["rules/*.yml"]}))
    with Processes(tmp_path / "logs") as processes:
        yield (
            installed,
            Servers(
                launch.prometheus(processes, tool("prometheus"), tmp_path / "prometheus", config),
                launch.alertmanager(processes, tool("alertmanager"), tmp_path / "am", installed / "alertmanager.yml"),
            ),
        )


@pytest.mark.parametrize("named", [False, True], ids=["found", "--output"])
def test_apply_writes_where_the_servers_read(
    named: bool, bundle: Path, by_the_guide: tuple[Path, Servers], capsys: pytest.CaptureFixture[str]
) -> None:
    """From Prometheus' own configuration; the project is not touched, templates come along."""
    installed, servers = by_the_guide
    arguments = ["--root", str(bundle), "--prometheus.url", servers.prometheus]
    arguments += ["--alertmanager.url", servers.alertmanager, *(("--output", str(installed)) if named else ())]
    alerts, channels = bundle / "rules/alerts/all.yaml", bundle / "rules/channels.yaml"
    alerts.write_text(alerts.read_text().replace("threshold: 10\n", "threshold: 12\n"))
    channels.write_text(channels.read_text().replace("channels: [pager, chat]", "channels: [pager]"))
    (installed / "templates/jelmon.tmpl").unlink()
    before = set(bundle.rglob("*"))

    assert main(["rules", "apply", *arguments]) == 0, capsys.readouterr().err
    said = capsys.readouterr().err
    assert f"rule files in {installed}/rules, configuration in {installed}/alertmanager.yml\n" in said
    assert "< 12" in (installed / "rules/cards_per_hour.yml").read_text()
    assert (installed / "templates/jelmon.tmpl").exists()
    assert rules_file.decode((installed / "rules.json").read_bytes()).fingerprint == loaded_fingerprint(servers)
    assert set(bundle.rglob("*")) == before
    assert not (installed / "deploy").exists()
    assert main(["rules", "plan", *arguments[:6]]) == 0


def test_apply_leaves_nothing_behind_when_nobody_reads_it(
    bundle: Path, by_the_guide: tuple[Path, Servers], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file, and no empty folder."""
    _, servers = by_the_guide
    arguments = ["--root", str(bundle), "--prometheus.url", servers.prometheus]
    arguments += ["--alertmanager.url", servers.alertmanager, "--output", str(tmp_path / "elsewhere")]
    alerts = bundle / "rules/alerts/all.yaml"
    alerts.write_text(alerts.read_text().replace("threshold: 10\n", "threshold: 12\n"))

    assert main(["rules", "apply", *arguments]) == 1
    assert "check that rule_files of Prometheus includes" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "--responder.rules"])
def test_apply_says_that_a_responder_needs_its_file(
    known: bool, bundle: Path, tool: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs elsewhere, or reads a file of its own: otherwise RulesNotLoaded fires until somebody copies it."""
    installed, port = tmp_path / "etc", free_port()
    (installed / "rules").mkdir(parents=True)
    config, alertmanager = installed / "prometheus.yml", tmp_path / "alertmanager.yml"
    renamed = [{"source_labels": ["__name__"], "regex": "up|prometheus_build_info", "action": "keep"}]
    renamed.append({"target_label": "__name__", "replacement": "jelmore_rules_fingerprint"})
    own = {"job_name": "own", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    own["metric_relabel_configs"] = renamed
    config.write_text(json.dumps({"rule_files": ["rules/*.yml"], "scrape_configs": [own]}))
    assert main(["generate", "--root", str(bundle), "--output", str(tmp_path / "out")]) == 0
    shutil.copytree(tmp_path / "out/alertmanager", tmp_path, dirs_exist_ok=True)
    elsewhere = tmp_path / "responder.json"
    with Processes(tmp_path / "logs") as processes:
        url = launch.prometheus(processes, tool("prometheus"), tmp_path / "data", config, port=port)
        arguments = ["--root", str(bundle), "--prometheus.url", url, "--alertmanager.config", str(alertmanager)]
        arguments += [
            "--alertmanager.url",
            launch.alertmanager(processes, tool("alertmanager"), tmp_path, alertmanager),
        ]
        deadline = time.monotonic() + 60
        while not prometheus(url).get("/api/v1/query?query=jelmore_rules_fingerprint")["data"]["result"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        arguments += ["--responder.rules", str(elsewhere)] if known else []
        assert main(["rules", "apply", *arguments]) == 0, capsys.readouterr().err
        said = capsys.readouterr().err
        fingerprint = loaded_fingerprint(Servers(url, ""))

    assert ("warning: a responder compares its file with the rules: copy deploy/responder/rules.json" in said) != known
    if known:
        assert rules_file.decode(elsewhere.read_bytes()).fingerprint == fingerprint


def test_apply_names_the_flag_that_is_missing(
    bundle: Path, tool: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it writes anything."""
    config = tmp_path / "prometheus.yml"
    config.write_text("{}")
    with Processes(tmp_path / "logs") as processes:
        url = launch.prometheus(processes, tool("prometheus"), tmp_path / "data", config, reloadable=False)
        before = set(bundle.rglob("*"))
        assert main(["rules", "apply", "--root", str(bundle), "--prometheus.url", url]) == 1

    message = capsys.readouterr().err
    assert "Prometheus does not accept a reload over HTTP; nothing was written" in message
    assert "--web.enable-lifecycle" in message
    assert set(bundle.rglob("*")) == before
