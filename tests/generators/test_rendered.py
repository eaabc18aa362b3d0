"""Rendered files of the small bundle, byte by byte, and what promtool and amtool think of them and of ours."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from jelmon.errors import ConfigError
from jelmon.generators.command import generate
from jelmon.generators.targets import Target

Tool = Callable[[str], Path]


def checked(*command: str | Path) -> None:
    """Run a tool; its output is the message when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "alertmanager/alertmanager.yml",
        "deploy/prometheus/rules/cards_per_hour.yml",
        "deploy/prometheus/rules/cpu_usage_ratio.yml",
        "deploy/prometheus/rules/queue_depth.yml",
        "docs/alerts.md",
    ],
)
def test_rendered_as_before(path: str, bundle: Path, golden: Callable[[str, str], None]) -> None:
    """`make golden` rewrites these; read the diff."""
    golden(path.replace("/", "-"), generate(bundle)[path])


@pytest.mark.parametrize("versions", ["prometheus=2.53,alertmanager=0.26", "prometheus=3.5,alertmanager=0.29"])
def test_rendered_for_newer_versions(versions: str, bundle: Path, golden: Callable[[str, str], None]) -> None:
    """What differs between targets: Teams, timeouts of webhooks, names of inhibitions, comparison of floats."""
    channels = bundle / "rules/channels.yaml"
    teams = "{type: teams, webhook_url_file: /etc/alertmanager/teams}"
    channels.write_text(channels.read_text().replace("{type: log}", teams))
    files = generate(bundle, target=Target.parse(versions))

    golden(f"alertmanager-{versions.split('=')[-1]}.yml", files["alertmanager/alertmanager.yml"])


def test_kubernetes_objects_say_the_same(bundle: Path, golden: Callable[[str, str], None]) -> None:
    """Groups are those of the rule files; the routes are the golden ones."""
    windows = bundle / "rules/windows.yaml"
    with pytest.raises(ConfigError, match="window 'weekend': the operator's time intervals know no time zone"):
        generate(bundle, form="kubernetes")
    windows.write_text(windows.read_text().replace("Europe/Berlin", "UTC"))
    files, objects = generate(bundle), generate(bundle, form="kubernetes")
    rules = {path: text for path, text in files.items() if path.startswith("deploy/prometheus/rules/")}

    plain = [yaml.safe_load(text)["groups"] for text in rules.values()]
    operator = [one for text in objects.values() if (one := yaml.safe_load(text))["kind"] == "PrometheusRule"]
    assert [one["spec"]["groups"] for one in operator] == plain
    assert all(re.fullmatch(r"[a-z0-9-]+", one["metadata"]["name"]) for one in operator)
    golden("kubernetes-alertmanager-config.yml", objects["deploy/kubernetes/alertmanager-config.yml"])


@pytest.mark.parametrize("own", [True, False], ids=["our bundle", "the small bundle"])
def test_promtool_and_amtool_accept_what_is_rendered(own: bool, root: Path, bundle: Path, tool: Tool) -> None:
    """Every rule file, with every lint of promtool; the configuration of Alertmanager."""
    folder = root if own else bundle
    if not own:
        for path, text in generate(bundle).items():
            (bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (bundle / path).write_text(text)

    rules = sorted((folder / "deploy/prometheus/rules").glob("*.yml"))
    assert rules
    checked(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *rules)
    checked(tool("amtool"), "check-config", folder / "alertmanager/alertmanager.yml")


def test_hand_written_unit_tests_pass(root: Path, tool: Tool) -> None:
    """Chains from raw metrics to alerts that no generator could think of."""
    tests = sorted((root / "rules/tests").glob("*.yaml"))
    assert tests
    checked(tool("promtool"), "test", "rules", *tests)
