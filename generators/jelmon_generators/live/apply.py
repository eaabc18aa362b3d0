"""Load new rules into a running Prometheus and Alertmanager: check, write, reload, compare, roll back."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from jelmon.errors import JelmonError, SourceError
from jelmon_generators.compiler import Compilation
from jelmon_generators.live.destinations import Destinations
from jelmon_generators.live.http_api import Api
from jelmon_generators.live.plan import compiled_facts, differences, loaded_facts, routing_differences
from jelmon_generators.render import output
from jelmon_generators.render.alertmanager import PATH as ALERTMANAGER_PATH
from jelmon_generators.render.alertmanager import configuration
from jelmon_generators.render.output import Change
from jelmon_generators.render.prometheus import RULES_FOLDER

_TOOL_TIMEOUT_SECONDS = 120.0


def checked(files: Mapping[str, str]) -> Iterator[str]:
    """Check the files, by their paths in a project, with promtool and amtool; yield progress messages.

    Raises:
        SourceError: one of the tools rejects them.
    """
    with tempfile.TemporaryDirectory(prefix="jelmon-") as name:
        folder = Path(name)
        output.write([Change(path, None, text) for path, text in files.items()], folder)
        rules = sorted((folder / RULES_FOLDER).glob("*.yml"))
        yield _run("promtool", ["check", "rules", *map(str, rules)], f"{len(rules)} rule files")
        yield _run("amtool", ["check-config", str(folder / ALERTMANAGER_PATH)], "the configuration")


def _run(tool: str, arguments: list[str], what: str) -> str:
    program = shutil.which(tool)
    if program is None:
        return f"{tool} is not installed: {what} not checked"
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=_TOOL_TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        raise SourceError(f"{tool} rejects {what}:\n{(done.stdout + done.stderr).strip()}", hint="nothing was changed")
    return f"{tool} accepts {what}"


def apply(
    made: Compilation, changes: list[Change], places: Destinations, prometheus: Api, alertmanager: Api
) -> Iterator[str]:
    """Write, reload and compare; roll back if a step fails. Yield progress messages.

    Raises:
        SourceError: a step failed; the files are restored.
    """
    folders = output.write(changes, Path())
    try:
        prometheus.call("POST", "/-/reload", b"")
        alertmanager.call("POST", "/-/reload", b"")
        yield "reloaded"
        _compare_rules(made, prometheus, places.rules)
        _compare_routes(made, alertmanager, places.alertmanager)
        yield "the loaded rules match the written files"
    except JelmonError as error:
        output.write([Change(change.path, change.new, change.old) for change in changes], Path())
        output.remove_empty(folders)
        for server in (prometheus, alertmanager):
            try:
                server.call("POST", "/-/reload", b"")
            except SourceError as second:
                raise SourceError(f"{error.message}\nrollback failed: {second.message}") from error
        raise SourceError(f"{error.message}\nthe previous files were restored", hint=error.hint) from error


def _compare_rules(made: Compilation, prometheus: Api, folder: Path) -> None:
    remaining = differences(loaded_facts(prometheus.get("/api/v1/rules")["data"]), compiled_facts(made))
    if remaining:
        shown = "\n".join(map(str, remaining[:5]))
        raise SourceError(
            f"the loaded rules differ from the written files:\n{shown}",
            hint=f"check that rule_files of Prometheus includes {folder}/*.yml",
        )


def _compare_routes(made: Compilation, alertmanager: Api, path: Path) -> None:
    running = yaml.safe_load(alertmanager.get("/api/v2/status")["config"]["original"])
    remaining = routing_differences(running, configuration(made))
    if remaining:
        shown = "\n".join(remaining[:5])
        raise SourceError(
            f"the routes of Alertmanager differ from the written file:\n{shown}",
            hint=f"if it reads another file than {path}, name that with --alertmanager.config",
        )
