"""A hand-written file that cannot be read at all is told with what to do."""

from pathlib import Path

import pytest

from jelmon.config.strict_yaml import did_you_mean, read
from jelmon.errors import Problem


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (None, 0, "cannot be read: No such file or directory"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8: byte 0xff"),
        (b"a: 1\nb: [1\n", 3, "not YAML: did not find expected ',' or ']'"),
        (b"a: \x00\n", 0, "not YAML: "),
        (b"", 0, "the file is empty"),
        (b"- a\n", 1, "file.yaml: expected a mapping"),
        (b"a: 1\na: 2\n", 2, "duplicate key 'a'"),
    ],
    ids=["absent", "not UTF-8", "not YAML", "a control character", "empty", "a list", "a key twice"],
)
def test_a_file_that_cannot_be_used_is_a_problem(
    tmp_path: Path, content: bytes | None, line: int, message: str
) -> None:
    if content is not None:
        (tmp_path / "file.yaml").write_bytes(content)
    problems: list[Problem] = []
    read(tmp_path, "file.yaml", problems)

    assert [(problem.path, problem.line) for problem in problems] == [("file.yaml", line)]
    assert problems[0].message.startswith(message)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    problems: list[Problem] = []
    read(tmp_path.parent, tmp_path.name, problems)

    assert problems[0].message == "cannot be read: Is a directory"
    assert problems[0].hint


def test_lines_of_a_secret_file_are_never_quoted(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("a: [hunter2\n")
    problems: list[Problem] = []
    read(tmp_path, "file.yaml", problems, secret=True)

    assert problems
    assert "hunter2" not in str(problems[0])


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("stge", ["stage", "card"], "did you mean 'stage'?"),
        ("xyz", ["stage", "card"], "one of: card, stage"),
        ("xyz", [str(number) for number in range(30)], ""),
    ],
    ids=["near", "far, few", "far, many"],
)
def test_a_word_that_is_not_known_names_the_nearest(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint
