"""``jelmon init`` writes a project that compiles, and never overwrites."""

from pathlib import Path

import pytest

from jelmon.cli import main


def test_the_project_is_complete_and_compiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "new" / "project"

    assert main(["init", str(project)]) == 0
    assert f"files to {project}; README.md says what to do next" in capsys.readouterr().out
    for path in ("rules/windows.yaml", "rules/channels.yaml", "Makefile", ".github/workflows/rules.yml", "README.md"):
        assert (project / path).is_file(), path
    assert main(["generate", "--root", str(project)]) == 0
    assert main(["generate", "--root", str(project), "--check"]) == 0


def test_an_existing_file_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Makefile").write_text("all:\n")

    assert main(["init", str(tmp_path)]) == 2
    assert f"{tmp_path} already contains Makefile; nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
    assert (tmp_path / "Makefile").read_text() == "all:\n"
