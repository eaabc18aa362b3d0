"""Pipelines declared in YAML: read as an event would be, and every fault told with its line."""

from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon_exporter.sources.pipelines_file import load_pipelines

GOOD = """\
pipelines:
  - pipeline: main
    stall_limit_seconds: 600
    stages:
      - stage: build
        workers: 2
      - stage: test
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipelines.yaml"
    path.write_text(GOOD)
    declared = load_pipelines(path)["main"].data

    assert [stage.stage for stage in declared.stages] == ["build", "test"]
    assert (declared.stages[0].workers, declared.stall_limit_seconds) == (2, 600)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("workers: 2", "workers: 0", ":6: Expected `int` >= 1", id="a number out of range"),
        pytest.param("workers: 2", "wrokers: 2", ":6: field 'wrokers' is unknown", id="an unknown field"),
        pytest.param("stage: test", "stage: build", ":5: stage 'build' occurs twice in 'main'", id="a stage twice"),
        pytest.param("- pipeline: main\n    ", "- ", ":2: Object missing required field `pipeline`", id="no name"),
        pytest.param("pipelines:", "pipeline:", ":1: expected a list of pipelines", id="another top"),
        pytest.param("workers: 2", "workers: [2", ": not YAML: ", id="no YAML"),
        pytest.param("workers: 2", "stage: again", ":6: field 'stage' occurs twice", id="a field twice"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "pipelines.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DefinitionError) as caught:
        load_pipelines(path)

    assert f"pipelines.yaml{expected}" in str(caught.value) or expected in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot read it"):
        load_pipelines(tmp_path / "absent.yaml")
