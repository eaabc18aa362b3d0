"""Comparing rules by meaning, trying them on history, and loading them, with the real servers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon.cli import main
from jelmon.generators.backtest import Episode, episodes, query
from jelmon.generators.compiler import compile_bundle
from jelmon.generators.plan import Facts, differences, routing_differences
from jelmon.stack import launch
from jelmon.stack.processes import Processes

HERE = Path(__file__).parent / "bundle"
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
    assert "TooSlow                                   0           0s      0  1: 0, 2: 0\n" in plan

    assert main(["rules", "apply", *arguments]) == 0
    assert "what is loaded is what was written" in capsys.readouterr().err
    assert main(["rules", "plan", *arguments]) == 0

    rules = bundle / "deploy/prometheus/rules/cards_per_hour.yml"
    before = rules.read_text()
    alerts.write_text(alerts.read_text().replace("threshold: 12\n", "threshold: 13\n"))
    (bundle / "prometheus.yml").write_text("{not: [yaml")
    capsys.readouterr()
    assert main(["rules", "apply", *arguments]) == 1
    message = capsys.readouterr().err
    assert "/-/reload: 500" in message
    assert rules.read_text() == before
