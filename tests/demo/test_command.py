"""``jelmon demo`` with wrong flags and without what it needs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seconds", "soon"), "argument --seconds: 'soon' is not a duration"),
        (("--seconds", "nan"), "argument --seconds: 'nan' is not a duration"),
        (("--seconds", "0"), "argument --seconds: 0 must be more than 0 seconds"),
        (("--stall-at", "-1"), "argument --stall-at"),
        (("--root", "/nonexistent"), "/nonexistent has no rules/ and deploy/prometheus/prometheus.yml"),
    ],
    ids=["a word", "not a number", "none at all", "before the start", "another folder"],
)
def test_a_wrong_flag_is_told(jelmon: Jelmon, arguments: tuple[str, ...], message: str) -> None:
    result = jelmon("demo", *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_server_is_told_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    """No program on PATH, no apt, no registry to get anything from."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    nowhere = "http://127.0.0.1:1/"
    result = subprocess.run(
        [sys.executable, "-m", "jelmon", "demo"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
            "PATH": "",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "TMPDIR": str(temporary),
            "PIP_INDEX_URL": nowhere,
            "PIP_RETRIES": "0",
        },
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
    )

    assert result.returncode == 1, result.stdout
    assert "is missing and could not be fetched" in result.stderr
    assert "hint: install it so that one of " in result.stderr
    assert "Traceback" not in result.stderr
    assert list(temporary.iterdir()) == []
