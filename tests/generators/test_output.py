"""The writer of generated files: what differs, what is stale, and that a check writes nothing."""

from pathlib import Path

from jelmon.generators import output


def test_a_change_is_shown_as_a_diff(tmp_path: Path) -> None:
    """A file that differs and a file that is missing; equal ones are not mentioned."""
    (tmp_path / "same.yml").write_text("a\n")
    (tmp_path / "other.yml").write_text("a\n")

    found = output.changes({"same.yml": "a\n", "other.yml": "b\n", "new.yml": "c\n"}, tmp_path, [])

    assert [change.path for change in found] == ["new.yml", "other.yml"]
    assert found[1].diff() == "--- a/other.yml\n+++ b/other.yml\n@@ -1 +1 @@\n-a\n+b\n"
    assert found[0].diff() == "--- /dev/null\n+++ b/new.yml\n@@ -0,0 +1 @@\n+c\n"
    assert not (tmp_path / "new.yml").exists()


def test_a_generated_file_that_is_generated_no_more_goes(tmp_path: Path) -> None:
    """Only in folders of ours, and only files that say that they are generated."""
    for folder in ("rules", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.yml").write_text("# generated from x, do not edit\n")
        (tmp_path / folder / "by-hand.yml").write_text("# mine\n")

    output.write(output.changes({"rules/new.yml": "n\n"}, tmp_path, ["rules"]), tmp_path)

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yml")) == [
        "elsewhere/by-hand.yml",
        "elsewhere/old.yml",
        "rules/by-hand.yml",
        "rules/new.yml",
    ]


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    """The same input gives the same bytes."""
    files = {"a/b/c.yml": "text without newline"}
    output.write(output.changes(files, tmp_path, []), tmp_path)

    assert output.changes(files, tmp_path, []) == []
    assert (tmp_path / "a/b/c.yml").read_bytes() == b"text without newline"
