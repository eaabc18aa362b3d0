"""What evaluates or groups the alerts has limits and words of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.errors import ConfigError
from jelmon_generators.commands.generate import generate
from jelmon_generators.compile.delivery import hops
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.targets import Target

MIMIR = Target.parse("mimir=2.10")


def test_a_group_beyond_the_limits_of_mimir_is_refused(root: Path, bundle: Path) -> None:
    """By its target; a tenant with higher limits says so in bundle.yaml."""
    compile_bundle(bundle, target=MIMIR)
    with pytest.raises(ConfigError, match=r"rule groups with more than 20 rules: \w+ \(\d\d\)"):
        compile_bundle(root, target=MIMIR)
    with (bundle / "rules/bundle.yaml").open("a") as file:
        file.write("rules_per_group: 4\n")
    with pytest.raises(ConfigError, match="rule groups with more than 4 rules: ") as error:
        compile_bundle(bundle, target=MIMIR)
    assert "raise ruler_max_rules_per_rule_group to " in error.value.hint


def test_too_many_groups_are_refused(bundle: Path) -> None:
    """They are counted with those that the compiler adds."""
    with (bundle / "rules/bundle.yaml").open("a") as file:
        file.write("rule_groups: 2\n")
    with pytest.raises(ConfigError, match="rule groups, and at most 2 are allowed"):
        compile_bundle(bundle)


def test_each_alert_may_be_notified_alone(bundle: Path, tool: Callable[[str], Path]) -> None:
    """`group_by: ['...']` compiles, amtool accepts it, and a route explains it."""
    channels = bundle / "rules/channels.yaml"
    text = channels.read_text()
    channels.write_text(text.replace("[chat], group_by: [alertname, pipeline]", "[chat], group_by: ['...']"))
    config = bundle / "alertmanager.yml"
    config.write_text(generate(bundle)["alertmanager/alertmanager.yml"].replace("templates/*", "*"))

    done = subprocess.run([tool("amtool"), "check-config", config], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert hops(compile_bundle(bundle).routing.root, {"severity": "warning"})[0].group_by == ("...",)
