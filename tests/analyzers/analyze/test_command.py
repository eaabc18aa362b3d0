"""``jelmon analyze``: a file in, change points and a picture out."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Jelmon = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Sixty runs, of which the last twenty take half as long again; one cell is empty."""
    rows = [f"c{run},{(100 + run % 3) * (1.5 if run >= 40 else 1)},{7 + run % 2}" for run in range(60)]
    rows[5] = "c5,,7"
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["commit,duration,size", *rows]) + "\n")
    return path


def test_changes_are_listed_under_a_picture(jelmon: Jelmon, runs: Path) -> None:
    """The row, its label, both levels, the size; the mark stands where the bars rise."""
    result = jelmon("analyze", str(runs), "--column", "duration")
    lines = result.stdout.splitlines()

    assert result.returncode == 0, result.stderr
    assert lines[0] == "duration: 60 rows, 1 change point"
    assert "  row 40 (c40): 101 -> 151.5  +50.0%" in lines
    [mark] = [line for line in lines if line.strip() == "^"]
    top = lines[1]
    assert top.index("█", top.index(" ")) >= mark.index("^")


def test_programs_get_json_and_an_exit_code(jelmon: Jelmon, runs: Path) -> None:
    """Every column of numbers; 1 because something changed."""
    result = jelmon("analyze", str(runs), "--json", "--fail-on-change")
    changes = json.loads(result.stdout)

    assert result.returncode == 1
    assert [change["row"] for change in changes["duration"]] == [40]
    assert changes["size"] == []


def test_counters_are_looked_at_by_their_increase(jelmon: Jelmon) -> None:
    """A ramp has no change, also across a restart; a ramp that becomes steeper has one."""
    totals = [10 * row for row in range(50)] + [20 * row for row in range(50)]
    result = jelmon("analyze", "-", "--counter", "--json", stdin="total\n" + "\n".join(map(str, totals)) + "\n")

    assert [change["row"] for change in json.loads(result.stdout)["total"]] == [51]


def test_ids_and_counters_are_no_measurements(jelmon: Jelmon) -> None:
    """A semicolon separates the cells; the build number and the counter are skipped, unless they are selected."""
    rows = [f"{900 + run};{30 + run % 4};{17 * run};{run * 7919 % 1000}" for run in range(40)]
    text = "\n".join(["build;seconds;bytes_total;runner_id", *rows]) + "\n"
    result = jelmon("analyze", "-", "--json", stdin=text)

    assert list(json.loads(result.stdout)) == ["seconds"]
    assert "bytes_total: skipped: it only rises" in result.stderr
    assert "runner_id: skipped: it numbers things; --column runner_id selects it" in result.stderr
    assert list(json.loads(jelmon("analyze", "-", "--json", "--counter", stdin=text).stdout)) == [
        "seconds",
        "bytes_total",
    ]
    assert list(json.loads(jelmon("analyze", "-", "--json", "--column", "build", stdin=text).stdout)) == ["build"]


def test_a_value_that_rises_in_one_step_is_a_measurement(jelmon: Jelmon) -> None:
    text = "seconds\n" + "5\n" * 20 + "9\n" * 20

    assert [change["row"] for change in json.loads(jelmon("analyze", "-", "--json", stdin=text).stdout)["seconds"]] == [
        20
    ]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        pytest.param("a\n", (), "no rows", id="a header only"),
        pytest.param("a,b\n1\n", (), "row 2 has 1 cells, the header has 2", id="a short row"),
        pytest.param("a\nx\n", (), "no column of numbers", id="no numbers"),
        pytest.param("a\n1\n", ("--column", "b"), "no column 'b'", id="no such column"),
        pytest.param("a,b\nx,1\n", ("--column", "a"), "has cells that are not numbers", id="a column of words"),
    ],
)
def test_bad_files_are_refused_with_what_is_wrong(
    jelmon: Jelmon, tmp_path: Path, content: str, arguments: tuple[str, ...], message: str
) -> None:
    """No traceback."""
    path = tmp_path / "bad.csv"
    path.write_text(content)
    result = jelmon("analyze", str(path), *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_analyzer_says_what_it_can_be_told(jelmon: Jelmon) -> None:
    """And refuses a flag that can never work."""
    assert "--regression.state" in jelmon("analyzer", "--help").stdout
    result = jelmon("analyzer", "regression", "--prometheus.url", "nowhere")
    assert result.returncode == 2
    assert "is not an HTTP URL" in result.stderr
