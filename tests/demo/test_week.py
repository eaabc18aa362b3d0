"""The week of history that the demo makes in the background."""

import time
from pathlib import Path

import pytest

from jelmon.demo import week
from jelmon.demo.week import Week


def _made(folder: Path, monkeypatch: pytest.MonkeyPatch, simulate: str) -> str:
    """Let a week be made by other commands; return what it says at its end."""
    monkeypatch.setattr(week, "_SIMULATE", simulate)
    (folder / "prometheus").mkdir()
    made = Week(
        folder,
        prometheus=Path("prometheus"),
        data=folder / "prometheus",
        rules=folder,
        exporter="http://127.0.0.1:9746",
        analyzer="http://127.0.0.1:9747",
    )
    with made:
        deadline = time.monotonic() + 120
        while not (news := made.poll()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert made.poll() == ""
    return news


def test_finished_blocks_go_to_the_running_prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is a block."""
    (tmp_path / "week" / "01BLOCK").mkdir(parents=True)
    (tmp_path / "week" / "01BLOCK" / "meta.json").write_text("{}")
    (tmp_path / "week" / "other").mkdir()
    monkeypatch.setattr(week, "_HISTORY", "--version")

    news = _made(tmp_path, monkeypatch, "--version")

    assert "a week of simulated history is ready" in news
    assert [path.name for path in (tmp_path / "prometheus").iterdir()] == ["01BLOCK"]


def test_a_failure_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo goes on without the week."""
    monkeypatch.setattr(week, "_HISTORY", "history nothing-here.jsonl")

    news = _made(tmp_path, monkeypatch, "--version")

    assert "there will be no history of a week" in news
    assert "nothing-here.jsonl" in news
