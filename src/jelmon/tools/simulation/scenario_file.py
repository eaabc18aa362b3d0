"""Reading and writing of scenarios as YAML files; errors name the line."""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from jelmon.config.strict_yaml import line_of
from jelmon.errors import ConfigError, DefinitionError, Problem
from jelmon.tools.simulation.scenario import BUILT_IN, Part, Scenario

_WHERE = re.compile(r" - at `(key in )?\$(.*?)`$")
_HINT = "compare with the output of `jelmon simulate --print-scenario`"


def load(name: str) -> Scenario:
    """Return the built-in scenario of that name, or the one in the YAML file at that path.

    Raises:
        ConfigError: neither exists.
        DefinitionError: the file is invalid.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--scenario: {name!r} is neither {' nor '.join(BUILT_IN)} nor a readable file: {error}",
            hint="start from the demo: `jelmon simulate --print-scenario`",
        ) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_duplicate_keys(root)
        return msgspec.convert(yaml.safe_load(text), Scenario)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _wrong(path, text, line, f"invalid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if not isinstance(error, msgspec.ValidationError):
            raise _wrong(path, text, 0, f"invalid YAML: {str(error).splitlines()[0]}") from error
        where = _WHERE.search(str(error))
        line = line_of(root, where[2] if where else "")
        raise _wrong(path, text, line, _WHERE.sub("", str(error)), _HINT) from error


def dump(scenario: Scenario) -> str:
    """Return the scenario as YAML, without fields that have their default value."""
    return str(yaml.safe_dump(_plain(scenario), sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in msgspec.structs.fields(value)
            if field.required or getattr(value, field.name) != field.default
        }
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return {str(key): number for key, number in value.items()} if isinstance(value, dict) else value


def _wrong(path: Path, text: str, line: int, message: str, hint: str = "") -> DefinitionError:
    lines = text.splitlines()
    return DefinitionError([Problem(str(path), line, message, hint, lines[line - 1] if 0 < line <= len(lines) else "")])


def _refuse_duplicate_keys(root: yaml.Node | None) -> None:
    """Raise an error for a duplicate key, of which YAML would silently drop one value."""
    visited: set[int] = set()  # an alias may lead back
    left = [root]
    while left:
        node = left.pop()
        if node is None or id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: set[Any] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark)
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
                left.append(value)
