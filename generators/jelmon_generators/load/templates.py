"""The notification templates of channels: the shipped ones, and those of the project in ``alertmanager/templates``."""

from collections.abc import Mapping
from pathlib import Path

from jelmon.errors import DefinitionError, Problem
from jelmon.installation import shipped
from jelmon_generators.go_templates.functions import AnyFunction
from jelmon_generators.go_templates.lexer import TemplateError
from jelmon_generators.go_templates.parser import Node, parse
from jelmon_generators.model.channels import TEMPLATES_USED

FOLDER = "alertmanager/templates"


def read_templates(root: Path) -> dict[str, str]:
    """Return path -> text. A file of the project replaces the shipped one of the same name.

    Raises:
        DefinitionError: a file is not a valid template, or none defines what channels use.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    defined: set[str] = set()
    for folder in (shipped(FOLDER), root / FOLDER):
        for path in sorted(folder.glob("*.tmpl")):
            name = f"{FOLDER}/{path.name}"
            try:
                found[name] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem(name, 0, f"cannot be read: {error}"))
    for name, text in found.items():
        try:
            defined.update(node.name for node in _definitions(text))
        except TemplateError as error:
            line = text.count("\n", 0, error.offset) + 1
            problems.append(Problem(name, line, error.message, error.hint, text.splitlines()[line - 1]))
    missing = sorted(TEMPLATES_USED - defined)
    if missing and not problems:
        hint = f'add {{{{ define "{missing[0]}" }}}}...{{{{ end }}}}, or delete the file to use the shipped one'
        problems.append(
            Problem(f"{FOLDER}/jelmon.tmpl", 0, f"channels use {', '.join(missing)}, which no template defines", hint)
        )
    if problems:
        raise DefinitionError(problems)
    return found


def self_contained(text: str, templates: Mapping[str, str]) -> str:
    """Return the text of a channel's field with the definitions of the templates that it uses in front."""
    definitions = {
        node.name: (node, content[node.offset : node.end])
        for content in templates.values()
        for node in _definitions(content)
    }
    needed: dict[str, str] = {}
    waiting = list(_used(parse(text, AnyFunction())))
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in needed:
            node, needed[name] = definitions[name]
            waiting.extend(_used(node.body))
    return "".join(needed[name] for name in sorted(needed)) + text


def _definitions(text: str) -> list[Node]:
    return [node for node in parse(text, AnyFunction()) if node.kind == "define"]


def _used(nodes: list[Node]) -> list[str]:
    return [
        name
        for node in nodes
        for name in ([node.name] if node.kind == "template" else _used([*node.body, *node.otherwise]))
    ]
