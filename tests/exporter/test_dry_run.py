"""A dry run shows what events give, and which lines are no events."""

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from jelmon import events as e
from jelmon_exporter.counting.tracker import HANDLERS
from jelmon_exporter.dry_run import dry_run
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import ExporterSettings


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


def test_an_event_that_raises_is_named_and_the_others_count(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the stream: what it changed before it raised is not counted either."""
    handle = HANDLERS[e.CardStarted]

    def handler(ledger: Any, event: Any, time: datetime) -> bool:
        done = handle(ledger, event, time)
        if event.subject == "bad":
            raise OverflowError("date value out of range")
        return done

    monkeypatch.setitem(cast("dict[Any, Any]", HANDLERS), e.CardStarted, handler)
    path = tmp_path / "events.jsonl"
    sent = [say.card_started(name, at=1) for name in ("good", "bad", "fine")]
    path.write_bytes(b"".join(e.encode(event) + b"\n" for event in sent))
    page, errors = dry_run(path, ExporterSettings(nats=None), View())

    assert 'jelmore_cards_in_progress{pipeline="main"} 2\n' in page
    assert 'jelmore_exporter_events_parked_total{reason="uncountable"} 1\n' in page
    assert [error.partition("\n")[0] for error in errors] == [
        f"{path}:2: jelmore.card.started: counting raised OverflowError: date value out of range"
    ]
