"""A small bundle of definitions to compile, alter and break; golden files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--golden`` rewrites the golden files instead of comparing with them."""
    parser.addoption("--golden", action="store_true", help="rewrite golden files")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the small bundle, to be altered."""
    return Path(shutil.copytree(HERE / "bundle", tmp_path / "bundle"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file, or rewrite the file with ``--golden``."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if request.config.getoption("--golden", default=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

        assert path.read_text(encoding="utf-8") == text

    return compare
