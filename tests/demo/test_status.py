"""The screen of the demo fits a terminal of 80 by 24, shows what matters first, and says what to do next."""

import io
import time

import pytest
from rich.console import Console

from jelmon.demo.proof import Proof, Step
from jelmon.demo.status import AlertRow, Snapshot, StageRow, render

STAGES = [
    StageRow(stage=name, waiting=3.0, running=1.0, finished=120.0, severity=20.0, run_p50=4.0, run_p95=9.0)
    for name in ("code_analysis", "unit_tests", "test_execution", "security_scan", "deploy")
]


def alert(name: str, severity: str, state: str = "firing", labels: str = "") -> AlertRow:
    return AlertRow(name=name, severity=severity, state=state, labels=labels)


def proof(seen: int, after: int = 0) -> Proof:
    """Eight steps and two that follow, of which the first are seen."""
    now = time.monotonic()

    def steps(names: list[str], number: int) -> list[Step]:
        return [
            Step(name, lambda: None, now + 30 if index < number else None, f"evidence {index}, in many more words")
            for index, name in enumerate(names)
        ]

    return Proof(
        steps([f"step {number} of the path" for number in range(8)], seen),
        steps(["pipeline recovered", "alert resolved"], after),
        now,
    )


def screen(snapshot: Snapshot, seen: Proof) -> list[str]:
    console = Console(width=80, height=24, file=io.StringIO(), force_terminal=False)
    console.print(render(snapshot, seen, time.monotonic() - 61, height=24))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n").splitlines()


@pytest.mark.parametrize("seen", [0, 5, 8])
def test_everything_fits_and_the_steps_are_always_visible(seen: int) -> None:
    """However many alerts fire and however long a verdict is."""
    alerts = [alert(f"Alert{number}", "warning", labels=f"stage=s{number}") for number in range(40)]
    snapshot = Snapshot(
        cards_per_hour=2400, finished=100, in_progress=30, idle_seconds=3, stages=STAGES, alerts=alerts,
        verdicts=["a verdict " * 20] * 4,
    )  # fmt: skip
    lines = screen(snapshot, proof(seen))

    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    expected = (
        [f"step {number} of the path" for number in range(8)] if seen < 8 else ["step 7", "pipeline recovered", "next"]
    )
    assert [text for text in expected if not any(text in line for line in lines)] == []
    assert any("40 firing" in line for line in lines)
    assert any(line.strip().startswith("and ") and line.endswith(" more") for line in lines)


def test_firing_alerts_have_a_line_each_and_pending_ones_are_counted() -> None:
    """With the labels that tell two of the same name apart."""
    snapshot = Snapshot(
        stages=STAGES,
        alerts=[
            alert("PipelineStalled", "critical"),
            alert("StageSlow", "warning", labels="stage=deploy"),
            alert("RateLow", "warning", "pending"),
        ],
    )
    lines = screen(snapshot, proof(2))

    assert any(line.split() == ["alerts", "2", "firing,", "1", "pending"] for line in lines)
    assert any(line.split() == ["critical", "PipelineStalled"] for line in lines)
    assert any(line.split() == ["warning", "StageSlow", "stage=deploy"] for line in lines)
    assert not any("RateLow" in line for line in lines)


def test_it_says_when_the_pipeline_recovered_and_what_to_do_next() -> None:
    lines = screen(Snapshot(stages=STAGES), proof(8, after=2))

    assert any("✔ pipeline recovered" in line for line in lines)
    assert any("✔ alert resolved" in line for line in lines)
    assert any("jelmon init" in line for line in lines)
