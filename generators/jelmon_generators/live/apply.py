"""Load new rules into a running Prometheus and Alertmanager: check, write, reload, compare, roll back."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jelmon.errors import JelmonError, SourceError
from jelmon_generators.compiler import Compilation
from jelmon_generators.live.http_api import Api
from jelmon_generators.live.plan import compiled_facts, differences, loaded_facts
from jelmon_generators.render import output
from jelmon_generators.render.alertmanager import PATH as ALERTMANAGER_PATH
from jelmon_generators.render.output import Change
from jelmon_generators.render.prometheus import RULES_FOLDER

_TOOL_TIMEOUT_SECONDS = 120.0


def checked(changes: list[Change], target: Path) -> Iterator[str]:
    """Check the new files with promtool and amtool before they replace the old ones; yield progress messages.

    Raises:
        SourceError: one of the tools rejects them.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(prefix=".jelmon-", dir=target)
    except OSError as error:
        raise SourceError(f"cannot write to {target}: {error.strerror}", hint="see --output") from error
    with beside as name:
        folder = Path(name)
        output.write([change for change in changes if change.new is not None], folder)
        rules = sorted((folder / RULES_FOLDER).glob("*.yml"))
        if rules:
            yield _run("promtool", ["check", "rules", *map(str, rules)], f"{len(rules)} rule files")
        if (folder / ALERTMANAGER_PATH).exists():
            templates = target / "alertmanager/templates"
            if templates.is_dir():
                shutil.copytree(templates, folder / "alertmanager/templates")
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


def apply(made: Compilation, changes: list[Change], target: Path, prometheus: Api, alertmanager: Api) -> Iterator[str]:
    """Write, reload and compare; roll back if a step fails. Yield progress messages.

    Raises:
        SourceError: a step failed; the files are restored.
    """
    yield from checked(changes, target)
    output.write(changes, target)
    try:
        prometheus.call("POST", "/-/reload", b"")
        alertmanager.call("POST", "/-/reload", b"")
        yield "reloaded"
        remaining = differences(loaded_facts(prometheus.get("/api/v1/rules")["data"]), compiled_facts(made))
        if remaining:
            shown = "\n".join(map(str, remaining[:5]))
            raise SourceError(
                f"the loaded rules differ from the written files:\n{shown}",
                hint=f"check that rule_files of Prometheus includes {target / RULES_FOLDER}/*.yml",
            )
        yield "the loaded rules match the written files"
    except JelmonError as error:
        output.write([Change(change.path, change.new, change.old) for change in changes], target)
        for server in (prometheus, alertmanager):
            try:
                server.call("POST", "/-/reload", b"")
            except SourceError as second:
                raise SourceError(f"{error.message}\nrollback failed: {second.message}") from error
        raise SourceError(f"{error.message}\nthe previous files were restored", hint=error.hint) from error
