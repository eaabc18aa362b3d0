"""Where the running servers read their files from, and whether they may be told to read them again."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from jelmon.bundle import rules_file
from jelmon.errors import SourceError
from jelmon_generators.live.http_api import Api
from jelmon_generators.load.templates import FOLDER as TEMPLATES_FOLDER
from jelmon_generators.render.alertmanager import PATH as ALERTMANAGER_PATH
from jelmon_generators.render.prometheus import RULES_FOLDER

_ANY_RULE_FILE = "jelmon.yml"
_USUAL = Path("/etc/alertmanager/alertmanager.yml")
_USUAL_OF_RESPONDER = Path("/etc/jelmon/rules.json")
_FINGERPRINT = "jelmore_rules_fingerprint"  # exported by a responder that reads the file


@dataclass(frozen=True, slots=True)
class Destinations:
    """The folder of the rule files, the configuration file of Alertmanager, and the file that the responder reads."""

    rules: Path
    alertmanager: Path
    responder: Path | None  # None: it is not known where, or whether there is one

    def placed(self, files: Mapping[str, str]) -> dict[str, str]:
        """Return the files by the absolute path that each is written to."""
        places = {self._place(path): text for path, text in files.items()}
        return {str(place): text for place, text in places.items() if place is not None}

    def _place(self, path: str) -> Path | None:
        if path.startswith(f"{RULES_FOLDER}/"):
            return self.rules / Path(path).name
        if path.startswith(f"{TEMPLATES_FOLDER}/"):
            return self.alertmanager.parent / "templates" / Path(path).name
        if path == rules_file.PATH:
            return self.responder
        return self.alertmanager


@dataclass(frozen=True, slots=True)
class Named:
    """What the command line says about where to write."""

    output: Path | None = None
    alertmanager: Path | None = None
    responder: Path | None = None


def destinations(prometheus: Api, root: Path, named: Named) -> Destinations:
    """Return where to write, from the configuration of the running Prometheus.

    What is below ``named.output`` (default: ``root``) comes first. Without it, also a folder elsewhere that exists on
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
    target = (named.output or root).resolve()
    config = Path(prometheus.get("/api/v1/status/runtimeinfo")["data"].get("CWD", "/"), flags.get("config.file", ""))
    rules = _rules_folder(_patterns(prometheus, config), target, anywhere=named.output is None)
    alertmanager, responder = target / ALERTMANAGER_PATH, target / rules_file.PATH
    if rules == target / RULES_FOLDER:
        found = Destinations(rules, alertmanager, responder)
    else:
        beside = (alertmanager, target / alertmanager.name) if named.output else ()
        configs = (*beside, config.parent / alertmanager.name, _USUAL)
        beside = (responder, target / responder.name) if named.output else ()
        files = (*beside, config.parent / responder.name, _USUAL_OF_RESPONDER)
        found = Destinations(rules, _first_file(configs) or alertmanager, _first_file(files))
    return Destinations(
        rules,
        named.alertmanager.resolve() if named.alertmanager else found.alertmanager,
        named.responder.resolve() if named.responder else found.responder,
    )


def unknown_responder(prometheus: Api, places: Destinations) -> str:
    """Return what to say when Prometheus knows a responder and nobody knows the file that it reads; else nothing."""
    if places.responder is not None or not prometheus.get(f"/api/v1/query?query={_FINGERPRINT}")["data"]["result"]:
        return ""
    return (
        f"a responder compares its file with the rules: copy {rules_file.PATH} to it, or RulesNotLoaded fires;"
        " --responder.rules names a file on this machine"
    )


def _first_file(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


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
