"""Where the running servers read their files from, and whether they may be told to read them again."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from jelmon.errors import SourceError
from jelmon_generators.live.http_api import Api
from jelmon_generators.load.templates import FOLDER as TEMPLATES_FOLDER
from jelmon_generators.render.alertmanager import PATH as ALERTMANAGER_PATH
from jelmon_generators.render.prometheus import RULES_FOLDER

_ANY_RULE_FILE = "jelmon.yml"
_USUAL = Path("/etc/alertmanager/alertmanager.yml")


@dataclass(frozen=True, slots=True)
class Destinations:
    """The folder of the rule files, and the configuration file of Alertmanager."""

    rules: Path
    alertmanager: Path

    def placed(self, files: Mapping[str, str]) -> dict[str, str]:
        """Return the files by the absolute path that each is written to."""
        return {str(self._place(path)): text for path, text in files.items()}

    def _place(self, path: str) -> Path:
        if path.startswith(f"{RULES_FOLDER}/"):
            return self.rules / Path(path).name
        if path.startswith(f"{TEMPLATES_FOLDER}/"):
            return self.alertmanager.parent / "templates" / Path(path).name
        return self.alertmanager


def destinations(prometheus: Api, root: Path, *, output: Path | None, alertmanager_config: Path | None) -> Destinations:
    """Return where to write, from the configuration of the running Prometheus.

    What is below ``output`` (default: ``root``) comes first. Without ``output``, also a folder elsewhere that exists on
    this machine and that Prometheus reads.

    Raises:
        SourceError: Prometheus does not answer, or does not accept a reload.
    """
    flags = prometheus.get("/api/v1/status/flags")["data"]
    if flags.get("web.enable-lifecycle") != "true":
        raise SourceError(
            "Prometheus does not accept a reload over HTTP; nothing was written",
            hint="start it with --web.enable-lifecycle (Debian: in ARGS in /etc/default/prometheus)",
        )
    target = (output or root).resolve()
    config = Path(prometheus.get("/api/v1/status/runtimeinfo")["data"].get("CWD", "/"), flags.get("config.file", ""))
    rules = _rules_folder(_patterns(prometheus, config), target, anywhere=output is None)
    if alertmanager_config is not None:
        return Destinations(rules, alertmanager_config.resolve())
    ours = target / ALERTMANAGER_PATH
    if rules == target / RULES_FOLDER:
        return Destinations(rules, ours)
    beside = (target / ALERTMANAGER_PATH, target / "alertmanager.yml") if output else ()
    existing = (path for path in (*beside, config.parent / "alertmanager.yml", _USUAL) if path.is_file())
    return Destinations(rules, next(existing, ours))


def _patterns(prometheus: Api, config: Path) -> list[Path]:
    """Return the absolute patterns of the rule files that Prometheus reads."""
    running = yaml.safe_load(prometheus.get("/api/v1/status/config")["data"]["yaml"]) or {}
    return [config.parent / pattern for pattern in running.get("rule_files") or ()]


def _rules_folder(patterns: Iterable[Path], target: Path, *, anywhere: bool) -> Path:
    ours = target / RULES_FOLDER
    folders = [pattern.parent for pattern in patterns if fnmatch.fnmatch(_ANY_RULE_FILE, pattern.name)]
    if any(fnmatch.fnmatch(str(ours), str(folder)) for folder in folders):
        return ours
    for folder in folders:
        if folder.is_dir() and (anywhere or folder.resolve().is_relative_to(target)):
            return folder
    return ours
