"""The layout of the repository: small folders, no symbolic links, documents that name existing paths."""

import re
import subprocess
from pathlib import Path

import pytest

MOST_MODULES = 17  # aim at 15
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md")


@pytest.fixture(scope="module")
def files(root: Path) -> list[str]:
    """Every file of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip(f"not a checkout: {listed.stderr.strip()}")
    return [name for name in listed.stdout.split("\0") if name and (root / name).exists()]


def test_no_folder_holds_too_many_modules(files: list[str]) -> None:
    """`__init__.py` and `conftest.py` are not counted."""
    modules: dict[str, int] = {}
    for path in map(Path, files):
        if path.suffix == ".py" and path.name not in ("__init__.py", "conftest.py"):
            modules[str(path.parent)] = modules.get(str(path.parent), 0) + 1

    assert {folder: count for folder, count in modules.items() if count > MOST_MODULES} == {}


def test_there_are_no_symbolic_links(root: Path, files: list[str]) -> None:
    assert [name for name in files if (root / name).is_symlink()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_the_document_exists(root: Path, files: list[str], document: str) -> None:
    """What stands in backticks and contains a slash, or is a file's name; `<...>` and `*` stand for anything."""
    text = re.sub(r"^```.*?^```", "", (root / document).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    tops = {name.partition("/")[0] for name in files}
    paths = [path for path in re.findall(r"`([\w./<>*-]+)`", text) if path.partition("/")[0] in tops]
    missing = [path for path in paths if not any(root.glob(re.sub(r"<\w+>", "*", path.rstrip("/"))))]

    assert paths
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_of_the_document_leads_somewhere(root: Path, document: str) -> None:
    text = (root / document).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    folder = (root / document).parent

    assert [link for link in links if link and not (folder / link).exists()] == []
