"""Copies the rules and rendered files that travel in the wheel; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = (
    "rules/*.yaml",
    "rules/alerts/*.yaml",
    "alertmanager/**/*",
    "deploy/prometheus/**/*",
    "deploy/responder/*",
    "docs/runbooks/*.md",
    "grafana/dashboards/*.json",
    "grafana/provisioning/**/*",
)
"""Files that `jelmon.installation.shipped` finds in an installation, relative to the repository."""


class BuildWithShippedFiles(build_py):
    """Copy the shipped files to ``jelmon/bundled``. An editable installation reads them from the checkout."""

    def run(self) -> None:
        """Build the packages, then copy."""
        super().run()
        if not self.editable_mode:
            for target, source in self._shipped().items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return every file that this command writes."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs + ([] if self.editable_mode else [str(target) for target in self._shipped()])

    def _shipped(self) -> dict[Path, Path]:
        """Return the source of each copy by its target."""
        bundled = Path(self.build_lib, "jelmon", "bundled")
        sources = [path for pattern in SHIPPED for path in sorted(ROOT.glob(pattern)) if path.is_file()]
        return {bundled / source.relative_to(ROOT): source for source in sources}


setup(cmdclass={"build_py": BuildWithShippedFiles})
