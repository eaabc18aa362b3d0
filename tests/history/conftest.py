"""What the tests of the history share: events of a small pipeline that slows down, stalls and recovers."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from jelmon.events import Envelope, encode
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import DEMO, Arrivals, Change, Scenario

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Query = Callable[..., dict[tuple[tuple[str, str], ...], float]]


@pytest.fixture(scope="session")
def troubled() -> Scenario:
    """The demo's stages with three cards a minute; one slows down, all stall and recover."""
    return Scenario(
        pipeline="demo",
        arrivals=Arrivals(per_minute=3),
        stages=DEMO.stages,
        sessions=DEMO.sessions[:1],
        stall_limit_seconds=30,
        card_target_seconds=60,
        changes=(
            Change(at_seconds=60, kind="slow", stage="test_execution", factor=12),
            Change(at_seconds=200, kind="stall"),
            Change(at_seconds=280, kind="recover"),
        ),
    )


@pytest.fixture(scope="session")
def events(troubled: Scenario) -> list[Envelope]:
    """A quarter of an hour of it."""
    return [step.event for step in simulate(troubled, seed=5, start=START, seconds=900)]


@pytest.fixture
def events_file(events: list[Envelope], tmp_path: Path) -> Path:
    """The same as JSON Lines."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


@pytest.fixture(scope="session")
def query() -> Query:
    """A function that asks a Prometheus for an instant vector: values by labels."""

    def ask(url: str, expr: str, at: float) -> dict[tuple[tuple[str, str], ...], float]:
        answer = requests.post(f"{url}/api/v1/query", data={"query": expr, "time": f"{at:.3f}"}, timeout=60).json()
        assert answer["status"] == "success", answer
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in answer["data"]["result"]}

    return ask
