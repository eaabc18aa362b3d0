"""A dry run shows what events give, and which lines are no events."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jelmon import events as e


def test_events_of_a_file(tmp_path: Path, say: Any, jelmon: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    path = tmp_path / "events.jsonl"
    batch = e.encode_batch([say.card_finished("a", at=60), say.card_started("b", at=61)])
    path.write_bytes(e.encode(say.card_started("a", at=0)) + b"\n\nnonsense\n" + batch + b"\n")
    result = jelmon("exporter", "--dry-run", str(path))

    assert result.returncode == 1
    assert 'jelmore_card_processing_seconds_sum{pipeline="main",outcome="success"} 60\n' in result.stdout
    assert 'jelmore_cards_in_progress{pipeline="main"} 1\n' in result.stdout
    assert 'jelmore_exporter_events_parked_total{reason="malformed"} 1\n' in result.stdout
    assert f"{path}:3: the event is not JSON" in result.stderr


def test_a_file_that_is_not_there(jelmon: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    result = jelmon("exporter", "--dry-run", "/nonexistent.jsonl")

    assert result.returncode == 2
    assert "cannot read /nonexistent.jsonl" in result.stderr
