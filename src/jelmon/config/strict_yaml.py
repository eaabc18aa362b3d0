"""A strict reader of hand-written YAML: nodes keep their place, and all problems of all files are collected.

Duplicate keys, unknown fields, merge keys and wrong types are problems. A method that finds a problem records it and
returns a placeholder, so that one run reports all problems.
"""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml

from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError, Problem

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEANS = {"true": True, "false": False}
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")

D = TypeVar("D")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One YAML file: its path as shown in messages, its lines, and the problems found so far."""

    path: str
    lines: Sequence[str]
    problems: list[Problem]
    secret: bool = False  # lines are not quoted in problems


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The position of a node."""

    source: Source
    line: int
    column: int = 0
    width: int = 0

    def refuse(self, message: str, *, hint: str = "", check: str = "") -> None:
        """Record a problem at this place, with the id of the check that found it, if any."""
        quoted = 0 < self.line <= len(self.source.lines) and not self.source.secret
        text = self.source.lines[self.line - 1] if quoted else ""
        self.source.problems.append(
            Problem(self.source.path, self.line, message, hint, text, self.column, min(self.width, len(text)), check)
        )

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}"


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a hint that names the closest known word; ``otherwise`` when none is close."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if otherwise:
        return otherwise
    return f"one of: {', '.join(sorted(names))}" if names and len(names) <= 24 else ""


@dataclass(slots=True, eq=False)
class Fields:
    """The fields of one mapping. Each is read by the method for its type; `done` refuses the fields nobody read."""

    place: Place
    nodes: dict[str, yaml.Node]
    keys: dict[str, Place]
    taken: set[str] = field(default_factory=set)

    def at(self, name: str) -> Place:
        """Return the place of a field's value, or of the mapping when the field is absent."""
        node = self.nodes.get(name)
        return self.place if node is None else _place(self.place.source, node)

    def has(self, name: str) -> bool:
        """Return whether the field is present."""
        return name in self.nodes

    @overload
    def text(self, name: str) -> str: ...
    @overload
    def text(self, name: str, default: D) -> str | D: ...
    def text(self, name: str, default: Any = ...) -> Any:
        """Return a string. The field is required when no default is given."""
        return self._scalar(name, default, "", _as_text)

    @overload
    def number(self, name: str) -> float: ...
    @overload
    def number(self, name: str, default: D) -> float | D: ...
    def number(self, name: str, default: Any = ...) -> Any:
        """Return a finite number."""
        return self._scalar(name, default, 0.0, _as_number)

    @overload
    def duration(self, name: str) -> float: ...
    @overload
    def duration(self, name: str, default: D) -> float | D: ...
    def duration(self, name: str, default: Any = ...) -> Any:
        """Return the seconds of a duration such as ``30s``, ``5m`` or ``7d``."""
        return self._scalar(name, default, 0.0, _as_duration)

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean, written ``true`` or ``false``."""
        return bool(self._scalar(name, default, default, _as_flag))

    @overload
    def choice(self, name: str, known: Iterable[str]) -> str: ...
    @overload
    def choice(self, name: str, known: Iterable[str], default: D) -> str | D: ...
    def choice(self, name: str, known: Iterable[str], default: Any = ...) -> Any:
        """Return one word of a closed set; the first of them when the field has another."""
        words = tuple(map(str, known))
        value = self._scalar(name, default, words[0], _as_text)
        if value is not default and value not in words:
            self.at(name).refuse(f"{name}: unknown value {value!r}", hint=did_you_mean(value, words))
            return words[0]
        return value

    def texts(self, name: str) -> list[tuple[str, Place]]:
        """Return a list of strings, each with its place; empty when the field is absent."""
        entries = []
        for node in self._sequence(name):
            place = _place(self.place.source, node)
            value = _as_text(node) if isinstance(node, yaml.ScalarNode) else None
            if isinstance(value, str) and value:
                entries.append((value, place))
            else:
                place.refuse(f"{name}: expected a string", hint="quote it if it is one")
        return entries

    def items(self, name: str) -> list["Fields"]:
        """Return a list of mappings; empty when the field is absent."""
        return [item for node in self._sequence(name) if (item := fields_of(self.place.source, node, name)) is not None]

    def mapping(self, name: str) -> "Fields | None":
        """Return a mapping; None when the field is absent."""
        node = self._read_field(name)
        return None if node is None else fields_of(self.place.source, node, name)

    def entries(self, name: str) -> list[tuple[str, "Fields"]]:
        """Return a mapping of names to mappings, as a list in file order."""
        outer = self.mapping(name)
        if outer is None:
            return []
        entries = []
        for key, node in outer.nodes.items():
            inner = fields_of(self.place.source, node, key)
            if inner is not None:
                inner.place = outer.keys[key]
                entries.append((key, inner))
        return entries

    def plain(self, name: str) -> list[tuple[str, str, Place]]:
        """Return a mapping of names to scalars, as (name, text, place of the value)."""
        outer = self.mapping(name)
        if outer is None:
            return []
        return [(key, outer.text(key), outer.at(key)) for key in outer.nodes]

    def done(self, what: str) -> None:
        """Refuse every field that was not read. ``what`` names the kind of mapping, for the message."""
        for key in self.nodes.keys() - self.taken:
            self.keys[key].refuse(
                f"unknown field {key!r} in {what}",
                hint=did_you_mean(key, self.taken, otherwise=f"the fields are: {', '.join(sorted(self.taken))}"),
            )

    def _read_field(self, name: str) -> yaml.Node | None:
        self.taken.add(name)
        return self.nodes.get(name)

    def _sequence(self, name: str) -> list[yaml.Node]:
        node = self._read_field(name)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            _place(self.place.source, node).refuse(
                f"{name}: expected a list", hint="write [a, b], or one item per line after '- '"
            )
            return []
        return list(node.value)

    def _scalar(self, name: str, default: Any, stand_in: Any, read: Any) -> Any:
        node = self._read_field(name)
        if node is None:
            if default is ...:
                self.place.refuse(f"field {name!r} is missing")
                return stand_in
            return default
        value = read(node) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            _place(self.place.source, node).refuse(f"{name}: expected {_EXPECTED[read]}", hint=_HINT.get(read, ""))
            return stand_in
        return value


def _as_text(node: yaml.ScalarNode) -> str | None:
    return node.value if node.value.strip() and node.tag != "tag:yaml.org,2002:null" else None


def _as_number(node: yaml.ScalarNode) -> float | None:
    if node.style or not _NUMBER.fullmatch(node.value):
        return None
    number = float(node.value)
    return number if math.isfinite(number) else None


def _as_duration(node: yaml.ScalarNode) -> float | None:
    try:
        return parse_duration(node.value, name="")
    except ConfigError:
        return None


def _as_flag(node: yaml.ScalarNode) -> bool | None:
    return _BOOLEANS.get(node.value)


_EXPECTED = {_as_text: "a string", _as_number: "a number", _as_duration: "a duration", _as_flag: "true or false"}
_HINT = {_as_duration: "write a number and a unit: 30s, 5m, 1h30m, 7d", _as_number: "without quotes and without a unit"}


def _place(source: Source, node: yaml.Node) -> Place:
    start, end = node.start_mark, node.end_mark
    width = (
        end.column - start.column if end.line == start.line else len(source.lines[start.line].rstrip()) - start.column
    )
    return Place(source, start.line + 1, start.column + 1, max(1, width))


def line_of(node: Any, where: str) -> int:
    """Return the line of a path such as ``.stages[2].workers``, or of its closest parent; 0 without a node."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", where):
        if name and isinstance(node, yaml.MappingNode):
            child = next((value for key, value in node.value if key.value == name), None)
        elif index.isdigit() and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            child = node.value[int(index)]
        else:
            child = None
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1 if node is not None else 0


def fields_of(source: Source, node: yaml.Node, what: str) -> Fields | None:
    """Return the fields of a mapping node; None, after recording a problem, for another node."""
    if not isinstance(node, yaml.MappingNode):
        _place(source, node).refuse(f"{what}: expected a mapping", hint="write 'field: value' lines")
        return None
    nodes: dict[str, yaml.Node] = {}
    keys: dict[str, Place] = {}
    for key, value in node.value:
        place = _place(source, key)
        if not isinstance(key, yaml.ScalarNode):
            place.refuse("a key must be a word")
        elif key.value in nodes:
            place.refuse(f"duplicate key {key.value!r}", hint=f"first written on line {keys[key.value].line}")
        else:
            nodes[key.value], keys[key.value] = value, place
    return Fields(_place(source, node), nodes, keys)


def read(
    root: Path, path: str, problems: list[Problem], *, may_be_empty: bool = False, secret: bool = False
) -> Fields | None:
    """Return the top-level fields of the YAML file ``path`` under ``root``; None, with a problem recorded, on failure.

    ``secret``: the file contains secrets, so problems do not quote its lines.
    """
    try:
        text = (root / path).read_text(encoding="utf-8")
    except OSError as error:
        problems.append(
            Problem(path, 0, f"cannot be read: {error.strerror}", "it must be a file that this user may read")
        )
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(Problem(path, line, f"not UTF-8: byte 0x{error.object[error.start]:02x}", "save it as UTF-8"))
        return None
    source = Source(path, text.splitlines(), problems, secret)
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        column = mark.column + 1 if mark and line <= len(source.lines) else 0
        Place(source, line, column, 1).refuse(
            f"not YAML: {error.problem or error.context}", hint="check the indentation"
        )
        return None
    except yaml.YAMLError as error:
        problems.append(Problem(path, 0, f"not YAML: {error}"))
        return None
    if node is None and may_be_empty:
        return Fields(Place(source, 1), {}, {})
    if node is None:
        problems.append(Problem(path, 0, "the file is empty", "delete it, or write definitions"))
        return None
    return fields_of(source, node, path)
