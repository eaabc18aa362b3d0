"""Files in ``rules/metrics/`` as declarations, and pages from disk."""

import gzip
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jelmon.config.strict_yaml import Fields, read
from jelmon.errors import ConfigError, DefinitionError, Problem, SourceError
from jelmon_generators.load.metrics import FOLDER, read_metrics
from jelmon_generators.metrics.declaration import Declaration
from jelmon_generators.metrics.page import Page, PageError, parse

_LARGEST_BYTES = 256 * 1024 * 1024


def read_page(path: Path) -> Page:
    """Return the families of a saved page, ``.gz`` or plain.

    Raises:
        SourceError: it cannot be read.
        ConfigError: it is not a page of metrics, with the line at fault.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except (OSError, EOFError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    if len(content) > _LARGEST_BYTES:
        raise ConfigError(f"{path} is larger than {_LARGEST_BYTES >> 20} MiB", hint="is it a page of metrics?")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8", hint="is it a page of metrics?") from error
    try:
        return parse(text)
    except PageError as error:
        raise ConfigError(f"{path}:{error.line}: {error.reason}") from error


def declarations(root: Path, path: Path) -> tuple[str | None, list[Declaration]]:
    """Return the job and the declarations of a file in ``rules/metrics/``.

    Raises:
        DefinitionError: the file, or another one there, has faults.
    """
    problems: list[Problem] = []
    read_metrics(root, problems)
    fields = read(root, f"{FOLDER}/{path.name}", problems)
    if problems or fields is None:
        raise DefinitionError(list(dict.fromkeys(problems)))
    return fields.text("job", None), [_declaration(name, entry) for name, entry in fields.entries("metrics")]


def _declaration(name: str, entry: Fields) -> Declaration:
    values = entry.mapping("values")
    closed = [(label, tuple(text for text, _ in values.texts(label))) for label in values.nodes] if values else []
    return Declaration(
        name,
        entry.text("type"),
        entry.text("help", ""),
        entry.text("unit", ""),
        tuple(label for label, _ in entry.texts("labels")),
        tuple(closed),
        tuple(float(text) for text, _ in entry.texts("buckets")),
    )


def merged(new: Iterable[Declaration], old: Iterable[Declaration]) -> list[Declaration]:
    """Return the new declarations with what people added to the old ones: units and closed values."""
    before = {one.name: one for one in old}
    found = []
    for one in new:
        if (known := before.get(one.name)) is not None:
            kept: dict[str, Any] = {}
            if not one.unit:
                kept["unit"] = known.unit
            if not one.values:
                kept["values"] = tuple((label, values) for label, values in known.values if label in one.labels)
            one = replace(one, **kept)
        found.append(one)
    return found
