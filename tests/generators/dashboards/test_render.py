"""The files are what the code says, always the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

from jelmon_generators.compile.objectives import objectives_of
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.render import render
from jelmon_generators.model.definitions import Bundle


def test_there_are_three_dashboards_at_their_paths() -> None:
    """The interface that `jelmon generate` relies on."""
    boards = {f"grafana/dashboards/{name}.json" for name in ("pipeline", "quality", "bottlenecks")}

    assert boards | {"grafana/dashboards/.lint"} == set(render(Limits({})))


def test_committed_files_are_current(root: Path, bundle: Bundle, limits: Limits) -> None:
    """What is in the repository is what the code renders; `jelmon generate` brings it up to date."""
    rendered = render(limits, objectives_of(bundle))

    assert rendered == {path: (root / path).read_text(encoding="utf-8") for path in rendered}


def test_the_bytes_do_not_depend_on_the_process(root: Path) -> None:
    """Two interpreters with different hash seeds render the same bytes."""
    program = (
        "from jelmon_generators.dashboards.render import render; "
        "from jelmon_generators.dashboards.limits import Limits; print(render(Limits({'pipeline_stalled': 600.0})))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1


def test_each_file_says_where_it_comes_from_and_ends_in_a_newline() -> None:
    """Somebody who opens the file, or the dashboard in Grafana, learns where to change it."""
    for path, text in render(Limits({})).items():
        assert text.endswith("\n")
        assert "do not edit" in text
        if path.endswith(".lint"):
            continue
        name = Path(path).stem
        board = json.loads(text)

        assert board["description"].endswith(
            f"(generated from generators/jelmon_generators/dashboards/{name}/, do not edit)"
        )
        assert f"jelmore-{name}" == board["uid"]
