"""``# jelmon: allow JM012 reason``: it excuses one line from one check, and nothing else."""

from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon_generators.compiler import Compilation, compile_bundle

RAW = "    expr: max without (instance, pod) (jelmore_stage_retries_total)"
COMMENT = "# jelmon: allow JM012 retries are never reset here"


def compiled(bundle: Path, line: str, above: str = "") -> Compilation:
    """The small bundle, with this line for the expression of ``queue_depth``."""
    path = bundle / "rules/signals.yaml"
    lines = path.read_text().split("\n")
    start = lines.index("  queue_depth:")
    place = next(number for number in range(start, len(lines)) if lines[number].startswith("    expr:"))
    lines[place : place + 1] = [*([above] if above else []), line]
    path.write_text("\n".join(lines))
    return compile_bundle(bundle)


def messages(bundle: Path, line: str, above: str = "") -> list[str]:
    """First lines of the problems, without their file."""
    with pytest.raises(DefinitionError) as caught:
        compiled(bundle, line, above)
    return [f"{problem.message} [{problem.check}]" for problem in caught.value.problems]


def test_without_an_excuse_it_is_a_problem(bundle: Path) -> None:
    """The raw counter is refused, with its id."""
    assert messages(bundle, RAW) == ["a raw counter is meaningless on its own [JM012]"]


@pytest.mark.parametrize(
    ("line", "above"),
    [
        pytest.param(f"{RAW} {COMMENT}", "", id="at the end of the line"),
        pytest.param(RAW, f"    {COMMENT}", id="on the line above"),
        pytest.param(RAW, f"    {COMMENT}\n    # and another remark", id="above, with another comment between"),
    ],
)
def test_an_excuse_lets_the_line_pass(line: str, above: str, bundle: Path) -> None:
    """The bundle compiles, with the expression as it stands."""
    made = compiled(bundle, line, above)

    assert made.bundle.signals["queue_depth"].expr == RAW.removeprefix("    expr: ")


@pytest.mark.parametrize(
    ("line", "above", "expected"),
    [
        pytest.param(
            RAW.replace("_retries_total", "_queue_depth"),
            f"    {COMMENT}",
            ["line 14 has no problem JM012 [JM002]"],
            id="an unused excuse",
        ),
        pytest.param(
            RAW,
            f"    {COMMENT.replace('JM012', 'JM013')}",
            ["a raw counter is meaningless on its own [JM012]"],
            id="an excuse from another check, while there are other problems",
        ),
        pytest.param(
            RAW,
            f"    {COMMENT.replace('JM012', 'JM999')}",
            ["unknown check 'JM999' [JM002]", "a raw counter is meaningless on its own [JM012]"],
            id="an unknown check",
        ),
        pytest.param(
            RAW,
            "    # jelmon: allow JM012",
            ["an excuse needs a reason [JM002]", "a raw counter is meaningless on its own [JM012]"],
            id="no reason",
        ),
        pytest.param(
            RAW.replace("stage_retries_total", "stage_queue_dept"),
            f"    {COMMENT.replace('JM012', 'JM011')}",
            [
                "JM011 (promql/series) cannot be excused [JM002]",
                "unknown metric 'jelmore_stage_queue_dept' [JM011]",
            ],
            id="a check that cannot be excused",
        ),
        pytest.param(
            RAW,
            f"    {COMMENT}\n\n",
            ["a raw counter is meaningless on its own [JM012]"],
            id="an excuse on a line that is not next to it",
        ),
    ],
)
def test_an_excuse_that_does_not_fit_is_reported(line: str, above: str, expected: list[str], bundle: Path) -> None:
    """Nothing else is excused, and the excuse itself is a problem."""
    assert messages(bundle, line, above) == expected


def test_the_place_of_a_faulty_excuse_is_the_comment(bundle: Path) -> None:
    """File, line, the comment underlined, and a hint."""
    with pytest.raises(DefinitionError) as caught:
        compiled(bundle, RAW.replace("_retries_total", "_queue_depth"), f"    {COMMENT}")

    assert str(caught.value) == (
        "rules/signals.yaml:13: line 14 has no problem JM012 [JM002]\n"
        f"      13 |     {COMMENT}\n"
        f"         |     {'^' * len(COMMENT)}\n"
        "    hint: remove the excuse, or move it to the line of the problem\n"
        "1 problem found"
    )
