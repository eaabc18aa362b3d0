"""Pipelines declared in a YAML file, for those that publish no declaration. A published one takes precedence."""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from jelmon.config.strict_yaml import line_of
from jelmon.errors import DefinitionError, Problem
from jelmon.events import PipelineDeclaredData, StageDeclaration
from jelmon_exporter.state.model import Declaration

DECLARED_IN_FILE = float("-inf")
"""The time of a declaration from a file: any event is newer."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PIPELINE_FIELDS = set(PipelineDeclaredData.__struct_fields__)
_STAGE_FIELDS = set(StageDeclaration.__struct_fields__)
_WHERE = re.compile(r" - at `\$(.*?)`$")
_HINT = "write a list under `pipelines:`, each entry with `pipeline:` and `stages:`; see docs/events.md for the fields"


def load_pipelines(path: Path) -> dict[str, Declaration]:
    """Read a file of declarations.

    Raises:
        DefinitionError: with every mistake and its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=_LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError([Problem(str(path), 0, f"cannot read it: {error}")]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise DefinitionError([_problem(path, text, line, f"not YAML: {error.problem}")]) from error
    problems: list[Problem] = []
    declared: dict[str, Declaration] = {}
    for node in _entries(path, text, root, problems):
        _refuse_unknown(path, text, node, problems)
        try:
            data = msgspec.convert(yaml.load(yaml.serialize(node), Loader=_LOADER), PipelineDeclaredData)
        except yaml.YAMLError as error:
            problems.append(_problem(path, text, node.start_mark.line + 1, f"cannot be read: {error}"))
            continue
        except msgspec.ValidationError as error:
            message = str(error)
            where = _WHERE.search(message)
            line = line_of(node, where.group(1) if where else "")
            problems.append(_problem(path, text, line, _WHERE.sub("", message)))
            continue
        if data.pipeline in declared:
            problems.append(
                _problem(path, text, node.start_mark.line + 1, f"pipeline {data.pipeline!r} is declared twice")
            )
        stages = [stage.stage for stage in data.stages]
        problems += [
            _problem(path, text, line_of(node, ".stages"), f"stage {stage!r} occurs twice in {data.pipeline!r}")
            for stage in sorted({stage for stage in stages if stages.count(stage) > 1})
        ]
        declared[data.pipeline] = Declaration(time=DECLARED_IN_FILE, data=data)
    if problems:
        raise DefinitionError(problems)
    return declared


def _entries(path: Path, text: str, root: Any, problems: list[Problem]) -> list[Any]:
    if isinstance(root, yaml.MappingNode) and len(root.value) == 1:
        key, value = root.value[0]
        if key.value == "pipelines" and isinstance(value, yaml.SequenceNode):
            return list(value.value)
    line = root.start_mark.line + 1 if root is not None else 0
    problems.append(_problem(path, text, line, "expected a list of pipelines", hint=_HINT))
    return []


def _refuse_unknown(path: Path, text: str, node: Any, problems: list[Problem]) -> None:
    """Report unknown and repeated fields, which are allowed in an event but a mistake in a hand-written file."""
    _check_fields(path, text, node, _PIPELINE_FIELDS, problems)
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == "stages" and isinstance(value, yaml.SequenceNode):
            for stage in value.value:
                _check_fields(path, text, stage, _STAGE_FIELDS, problems)


def _check_fields(path: Path, text: str, node: Any, known: set[str], problems: list[Problem]) -> None:
    seen: set[str] = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value not in known or key.value in seen:
            fault = "occurs twice" if key.value in seen else "is unknown"
            problems.append(
                _problem(
                    path,
                    text,
                    key.start_mark.line + 1,
                    f"field {key.value!r} {fault}",
                    hint=f"known fields: {', '.join(sorted(known))}",
                )
            )
        seen.add(key.value)


def _problem(path: Path, text: str, line: int, message: str, *, hint: str = "") -> Problem:
    lines = text.splitlines()
    return Problem(str(path), line, message, hint, lines[line - 1] if 0 < line <= len(lines) else "")
