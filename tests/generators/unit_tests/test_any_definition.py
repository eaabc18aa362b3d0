"""Definitions that nobody thought of: whatever compiles, promtool accepts, and its generated tests pass."""

import json
import os
import random
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jelmon.errors import DefinitionError
from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle

COUNT = 24
BY_PIPELINE = ("cards_per_hour", "queue_depth", "failure_share")
OPERATORS = ("gt", "ge", "lt", "le", "eq", "ne")


def simple(chance: random.Random, signal: str, *, top: bool = False) -> dict[str, Any]:
    """A condition about one signal."""
    kinds = ["compare"] * 5 + ["outside"] + (["absent", "regression", "declared", "overridden"] if top else [])
    kind = chance.choice(kinds)
    threshold = chance.choice([0, 0.5, 3, 20, 1234.5])
    if kind == "outside":
        return {"metric_path": signal, "operator": "outside", "low": threshold, "high": threshold + 5}
    if kind == "absent":
        return {"metric_path": signal, "operator": "absent"}
    if kind == "regression":
        baseline = {"lower_bound": chance.choice([0, 0.05]), "floor": chance.choice([0, 10])}
        return {"metric_path": signal, "operator": "regression", "threshold": 0.2, "baseline": baseline}
    operator = chance.choice(OPERATORS)
    if (operator, threshold) == ("lt", 0):
        operator = "le"  # nothing is below 0: refused with good reason
    condition = {"metric_path": signal, "operator": operator, "threshold": threshold}
    if kind == "declared":
        metric = "jelmore_pipeline_stall_limit_seconds"
        return condition | {"operator": chance.choice(["gt", "ge", "le"]), "threshold_from": metric}
    if kind == "overridden":
        overrides = [{"labels": {"pipeline": name}, "threshold": threshold + 1 + n} for n, name in enumerate("ab")]
        return condition | {"overrides": overrides}
    return condition


def definition(chance: random.Random, number: int) -> dict[str, Any]:
    """An alert."""
    signal = chance.choice(BY_PIPELINE)
    kind = chance.choice(["simple", "simple", "all", "any", "n_of_m"])
    condition: dict[str, Any]
    if kind == "simple":
        condition = simple(chance, signal, top=True)
    else:
        parts = [simple(chance, chance.choice(BY_PIPELINE)) for _ in range(chance.choice([2, 3]))]
        if chance.random() < 0.25:  # a part without labels
            parts[chance.randrange(len(parts))] = {"metric_path": "cpu_usage_ratio", "operator": "absent"}
        condition = {kind: parts} | ({"n": chance.randint(1, len(parts))} if kind == "n_of_m" else {})
    if chance.random() < 0.3 and condition.get("operator") != "absent":
        condition["unless"] = [simple(chance, chance.choice(BY_PIPELINE))]
    return condition | {
        "rule_id": f"any_{number}",
        "summary": "any",
        "description": "any",
        "duration_minutes": chance.choice([1, 2, 5.25]),
        "keep_firing_for": chance.choice(["30s", "2m", "5m"]),
        "severity": chance.choice(["critical", "warning"]),
        **({"escalation": "standard"} if chance.random() < 0.4 or number == 0 else {}),
    }


def compiling(bundle: Path, seed: int) -> list[dict[str, Any]]:
    """Random definitions, without those that are refused with good reason: they can never hold, or always do."""
    chance = random.Random(seed)
    (bundle / "rules/slos.yaml").unlink()
    (bundle / "rules/windows.yaml").unlink()
    alerts = [definition(chance, number) for number in range(COUNT)]
    for number in range(COUNT):
        (bundle / f"docs/runbooks/Any{number}.md").write_text("any")
    path = bundle / "rules/alerts/all.yaml"
    path.write_text(json.dumps({"alerts": alerts}))
    with pytest.raises(DefinitionError) as caught:  # among so many there is always one
        compile_bundle(bundle)
    reasons = {problem.message for problem in caught.value.problems}
    assert reasons <= {"the condition can never hold", "the condition always holds"}, str(caught.value)
    refused = {problem.column for problem in caught.value.problems}
    text = path.read_text()
    alerts = [one for one in alerts if text.index(f'"{one["rule_id"]}"') + 1 not in refused]
    path.write_text(json.dumps({"alerts": alerts}))
    return alerts


@pytest.mark.parametrize("seed", [2026])
def test_what_compiles_is_right(seed: int, bundle: Path, tool: Callable[[str], Path]) -> None:
    """promtool runs the tests that were made from the definitions over the rules that were made from them."""
    alerts = compiling(bundle, seed)
    assert len(alerts) > COUNT / 2
    tests = []
    for path, text in generate(bundle).items():
        if path.startswith(("deploy/prometheus/rules/", "rules/tests/")):
            (bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (bundle / path).write_text(text)
            tests += [bundle / path] if path.startswith("rules/tests/") else []

    def failure(paths: list[Path]) -> str:
        done = subprocess.run([tool("promtool"), "test", "rules", *paths], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr if done.returncode else ""

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        failures = [text for text in pool.map(failure, (tests[start::workers] for start in range(workers))) if text]
    assert len(tests) >= len(alerts)
    assert "\n".join(failures) == ""
