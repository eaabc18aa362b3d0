"""``jelmon init``: write a starter project that ``jelmon generate`` compiles."""

import argparse
from pathlib import Path

from jelmon.errors import ConfigError
from jelmon.installation import shipped

SHIPPED = (
    "rules/*.yaml",
    "rules/alerts/*.yaml",
    "docs/runbooks/*.md",
    "alertmanager/templates/*",
    "deploy/prometheus/prometheus.yml",
    "grafana/provisioning/*/*.yaml",
)
"""Shipped files that the project starts with, at the same paths."""

STARTER_FILES = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "windows.yaml": "rules/windows.yaml",
    "workflow.yml": ".github/workflows/rules.yml",
    "gitignore": ".gitignore",
}
"""Files of the starter itself -> path in the project."""

MOST_NAMED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="project folder (default: current folder)"
    )
    parser.epilog = """examples:
  jelmon init monitoring                       write the starter project to monitoring/
  cd monitoring && jelmon generate             compile it

An existing file is never overwritten: the command then writes nothing.
"""


def run(args: argparse.Namespace) -> int:
    """Write the starter project.

    Raises:
        ConfigError: one of the files exists already.
    """
    folder: Path = args.folder
    files = starter_files()
    if existing := [path for path in files if (folder / path).exists()]:
        more = f" and {len(existing) - MOST_NAMED} more" if len(existing) > MOST_NAMED else ""
        raise ConfigError(
            f"{folder.resolve()} already contains {', '.join(existing[:MOST_NAMED])}{more}; nothing was written",
            hint="choose an empty folder: jelmon init DIR",
        )
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    print(f"wrote {len(files)} files to {folder.resolve()}; README.md says what to do next")
    return 0


def starter_files() -> dict[str, bytes]:
    """Return the content of every file of the starter project by its path."""
    root, starter = shipped(), Path(__file__).with_name("files")
    copied = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for pattern in SHIPPED
        for path in sorted(root.glob(pattern))
        if path.is_file()
    }
    return copied | {target: (starter / name).read_bytes() for name, target in STARTER_FILES.items()}
