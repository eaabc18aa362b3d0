"""What is installed is what lies in the folders, and nothing else."""

import ast
import tomllib
from pathlib import Path

import pytest

# what an image with only this extra must not need
FOREIGN = {
    "exporter": {"grafanalib", "scipy", "numpy", "psycopg", "rich", "promql_parser", "jinja2"},
    "responder": {"grafanalib", "scipy", "numpy", "psutil", "rich", "promql_parser"},
    "generators": {"nats", "redis", "psutil", "psycopg", "aiohttp", "rich", "scipy", "numpy"},
}


@pytest.mark.parametrize("package", FOREIGN)
def test_a_service_imports_only_what_its_extra_brings(root: Path, package: str) -> None:
    imported = {
        name.split(".")[0]
        for path in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _names(node)
    }

    assert imported & FOREIGN[package] == set()


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def test_core_has_one_dependency(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]

    assert [dependency.split(">")[0] for dependency in project["dependencies"]] == ["msgspec"]
