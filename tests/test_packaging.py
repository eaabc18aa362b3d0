"""The wheel holds what a user needs without a checkout, and each service needs only the packages of its extra."""

import ast
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

# what an image with only this extra must not need
FOREIGN = {
    "exporter": {"grafanalib", "scipy", "numpy", "psycopg", "rich", "promql_parser", "jinja2"},
    "responder": {"grafanalib", "scipy", "numpy", "psutil", "rich", "promql_parser"},
    "board": {"grafanalib", "scipy", "numpy", "psycopg", "psutil", "redis", "nats", "rich", "promql_parser"},
    "generators": {"nats", "redis", "psutil", "psycopg", "aiohttp", "rich", "scipy", "numpy"},
}
NOT_COPIED = (".git", ".venv", "build", "dist", "*_cache", "__pycache__", "*.egg-info", ".hypothesis")
SHIPPED_FOLDERS = ("rules", "alertmanager", "deploy/prometheus", "deploy/responder", "docs/runbooks", "grafana")


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


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution, which is built from a copy of the repository."""
    folder = tmp_path_factory.mktemp("build")
    copy = shutil.copytree(root, folder / "copy", ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    with tarfile.open(_build("sdist", copy, folder)) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.glob("jelmon-*/")
    return _build("wheel", source, folder)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``jelmon`` command of a fresh virtual environment with the wheel; dependencies come from ours."""
    environment = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin/python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    (packages,) = environment.glob("lib/python3*/site-packages")
    # a .pth file there is not read, so our own editable installation of jelmon stays invisible
    ours = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(ours), encoding="utf-8")
    return environment / "bin/jelmon"


def test_the_wheel_holds_every_file_of_the_packages(root: Path, wheel: Path) -> None:
    """Also those that are not Python: py.typed, SQL, Lua, YAML, the files of the starter project."""
    roots = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["where"]
    files = {
        path.relative_to(root / name).as_posix()
        for name in roots
        for package in (root / name).glob("jelmon*/")
        if not package.name.endswith(".egg-info")
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name and "/bundled/" not in name}

    assert sorted(files ^ names) == []


def test_the_wheel_holds_the_shipped_files(root: Path, wheel: Path) -> None:
    """All but the tests of the rules, byte for byte."""
    shipped = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in SHIPPED_FOLDERS
        for path in (root / folder).rglob("*")
        if path.is_file() and not path.name.startswith(".") and not path.is_relative_to(root / "rules/tests")
    }
    with zipfile.ZipFile(wheel) as archive:
        prefix = "jelmon/bundled/"
        bundled = {name.removeprefix(prefix): archive.read(name) for name in archive.namelist() if prefix in name}

    assert sorted(bundled) == sorted(shipped)
    assert bundled == shipped


def test_a_project_is_started_and_compiled_without_a_checkout(
    installed: Path, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """``jelmon init`` and ``jelmon generate`` in an empty folder; Prometheus' and Alertmanager's tools accept it."""
    project = tmp_path / "project"
    project.mkdir()
    _run(installed, "init", folder=project)
    _run(installed, "generate", folder=project)

    _run(installed, "generate", "--check", folder=project)
    rules = sorted((project / "deploy/prometheus/rules").glob("*.yml"))
    tests = sorted((project / "rules/tests").rglob("*.y*ml"))
    assert rules
    assert tests
    _run(tool("promtool"), "check", "config", "--lint-fatal", project / "deploy/prometheus/prometheus.yml")
    _run(tool("promtool"), "test", "rules", *tests)
    _run(tool("amtool"), "check-config", project / "alertmanager/alertmanager.yml")


def test_the_installed_command_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Its version is the one of the metadata, and it does not import from the checkout."""
    code = (
        "import jelmon, importlib.metadata as m; from jelmon.installation import shipped;"
        "print(m.version('jelmon') == jelmon.__version__, jelmon.__file__, shipped('rules').is_dir())"
    )
    told = _run(installed.with_name("python"), "-c", code, folder=tmp_path).split()

    assert told == ["True", told[1], "True"]
    assert Path(told[1]).is_relative_to(installed.parents[1])
    assert _run(installed, "--version", folder=tmp_path).startswith("jelmon ")


def _build(kind: str, source: Path, folder: Path) -> Path:
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    return folder / _run(sys.executable, "-c", code, folder, folder=source).splitlines()[-1]


def _run(*command: str | Path, folder: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=220, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
