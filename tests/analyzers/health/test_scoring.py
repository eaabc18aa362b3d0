"""The score: its properties, its parts, and the same number from PromQL."""

import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon.catalogue import HEALTH_SCORE, Service
from jelmon.errors import ConfigError
from jelmon.service.registry import Instruments
from jelmon_analyzers.health import HealthGauges, HealthSettings, Part, score
from jelmon_analyzers.health.promql import recomputed
from jelmon_analyzers.health.scoring import WEIGHTS, apdex, constraint, flow, freshness, resources, success

PARTS = st.dictionaries(st.sampled_from(Part), st.floats(0, 1), max_size=6)


@given(PARTS)
def test_the_score_is_0_to_100_or_absent_below_half_of_the_weight(parts: dict[Part, float]) -> None:
    """And coverage is the weight of the parts that have data."""
    health = score(parts)

    assert health.coverage == pytest.approx(sum(WEIGHTS[part] for part in parts) / 100)
    assert (health.score is None) == (health.coverage < 0.5)
    assert health.score is None or 0 <= health.score <= 100


@given(PARTS, st.sampled_from(Part), st.floats(0, 1))
def test_a_better_part_never_lowers_the_score(parts: dict[Part, float], part: Part, better: float) -> None:
    """Monotone in each part."""
    before = score(parts).score
    after = score({**parts, part: max(better, parts[part])}).score if part in parts else before

    assert before is None or (after is not None and after >= before - 1e-9)


@given(PARTS)
def test_points_lost_explain_the_score(parts: dict[Part, float]) -> None:
    """100 minus all of them is the score, unless the cap holds."""
    health = score(parts)
    plain = 100 - sum(health.points_lost.values())
    dead = any(parts.get(part) == 0 for part in (Part.LATENCY, Part.SUCCESS, Part.FRESHNESS))

    assert health.score is None or health.score == pytest.approx(min(plain, 40) if dead else plain, abs=1e-9)


def test_all_good_is_100_and_a_dead_vital_part_caps_at_40() -> None:
    """The mean must not hide that nothing moves."""
    good = dict.fromkeys(Part, 1.0)

    assert score(good).score == 100
    assert score(good | {Part.FRESHNESS: 0.0}).score == 40
    assert score(good | {Part.FLOW: 0.0}).score == 85
    assert score({}).score is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (0.75, apdex(satisfied=60, tolerating=30, total=100)),
        (None, apdex(satisfied=0, tolerating=0, total=0)),
        (1.0, success(failed=0, total=3, objective=0.99)),
        (None, success(failed=1, total=3, objective=0.99)),
        (1.0, success(failed=1, total=100, objective=0.99)),
        (0.0, success(failed=144, total=1000, objective=0.99)),
        (0.5, success(failed=3.794733192202055, total=100, objective=0.99)),
        (0.8, flow(arrived=10, finished=8)),
        (1.0, flow(arrived=10, finished=12)),
        (None, flow(arrived=0, finished=12)),
        (1.0, constraint(50)),
        (0.5, constraint(75)),
        (0.0, constraint(100)),
        (1.0, freshness(silent_seconds=15, limit_seconds=30)),
        (0.5, freshness(silent_seconds=22.5, limit_seconds=30)),
        (0.0, freshness(silent_seconds=31, limit_seconds=30)),
        (1.0, resources(0.8)),
        (0.5, resources(0.9)),
        (0.0, resources(1.0)),
    ],
)
def test_parts_are_what_their_formulas_say(expected: float | None, found: float | None) -> None:
    """Values by hand."""
    assert expected == (found if found is None else pytest.approx(found, abs=1e-9))


def test_invalid_settings_are_refused() -> None:
    """Weights and objective are checked when they are given."""
    with pytest.raises(ConfigError, match="weights"):
        HealthSettings(weights=dict.fromkeys(Part, 0.0))
    with pytest.raises(ConfigError, match="objective"):
        HealthSettings(objective=1.0)


def test_the_score_recomputed_in_promql_is_the_score(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """60 pipelines with random parts, some missing, some dead: exported, and evaluated by Prometheus itself."""
    generator = random.Random(6)
    drawn = {
        f"p{number}": {
            part: generator.choice([0.0, 1.0, generator.random(), generator.random()])
            for part in Part
            if generator.random() < 0.8
        }
        for number in range(60)
    }
    instruments = Instruments(Service.ANALYZER)
    board = HealthGauges(instruments, HealthSettings(), severity=lambda *_: None, usage=lambda: None)

    class Drawn:
        def __init__(self, pipeline: str) -> None:
            self._parts = drawn[pipeline]

        def parts(self, now: float, **_: object) -> dict[Part, float]:
            return self._parts

    board._cards.update({pipeline: Drawn(pipeline) for pipeline in drawn})  # type: ignore[misc]
    board.export(1.0)
    text = instruments.render()[0].decode()
    samples = re.findall(r"^(jelmore_health\w+{.*}) (\S+)$", text, re.MULTILINE)
    scores = [value for series, value in samples if series.startswith(HEALTH_SCORE.name)]
    test = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": value} for series, value in samples],
                "promql_expr_test": [
                    {
                        "expr": f"abs(({recomputed()}) - on (pipeline) {HEALTH_SCORE.name}) > 1e-9",
                        "eval_time": "0m",
                        "exp_samples": [],
                    },
                    {
                        "expr": f"count({recomputed()})",
                        "eval_time": "0m",
                        "exp_samples": [{"labels": "{}", "value": len(scores)}],
                    },
                ],
            }
        ],
    }
    path = tmp_path / "health.json"
    path.write_text(json.dumps(test))
    done = subprocess.run([tool("promtool"), "test", "rules", path], capture_output=True, text=True)

    assert 20 < len(scores) < 60
    assert done.returncode == 0, done.stdout + done.stderr
