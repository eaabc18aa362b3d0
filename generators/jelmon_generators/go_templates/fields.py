"""What the annotations of an alert refer to: labels and other fields that exist where they are used."""

import re
from collections.abc import Iterable
from functools import lru_cache

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.go_templates.functions import PROMETHEUS
from jelmon_generators.go_templates.lexer import LEFT, TemplateError
from jelmon_generators.go_templates.parser import Node, Pipeline, Term, parse

_ROOT = {"Labels": "labels", "ExternalLabels": "any", "ExternalURL": "text", "Value": "number"}
_SAMPLE = {"Labels": "any", "Value": "number"}
_VARIABLES = {"$labels": "labels", "$externalLabels": "any", "$externalURL": "text", "$value": "number", "$": "root"}
_RESULTS = {"query": "samples", "sortByLabel": "samples", "first": "sample", "value": "number"}
_ELEMENTS = {"samples": "sample", "labels": "text"}
_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def check_alert_text(text: str, labels: Iterable[str]) -> None:
    """Check an annotation of an alert with these labels.

    Raises:
        TemplateError: Prometheus would refuse it, or write an error or nothing in its place.
    """
    if LEFT not in text:
        return
    bare = "".join(_ACTION.findall(text))  # texts that differ only in words are checked once
    if LEFT not in _ACTION.sub("", text):
        try:
            _check(bare, frozenset(labels))
            return
        except TemplateError:
            pass  # the offset of the piece at fault is that in the whole text
    _check(text, frozenset(labels))


@lru_cache(maxsize=4096)
def _check(text: str, labels: frozenset[str]) -> None:
    nodes = parse(text, PROMETHEUS, frozenset(_VARIABLES))
    _Walk(labels, {node.name for node in nodes if node.kind in ("define", "block")}).nodes(nodes, "root", _VARIABLES)


class _Walk:
    def __init__(self, labels: frozenset[str], defined: set[str]) -> None:
        self._labels = labels
        self._defined = defined

    def nodes(self, nodes: Iterable[Node], dot: str, variables: dict[str, str]) -> None:
        known = dict(variables)
        for node in nodes:
            kind = self._pipeline(node.pipeline, dot, known) if node.pipeline else "any"
            inside = dict(known)
            if node.pipeline and node.pipeline.variables:
                element = _ELEMENTS.get(kind, "any") if node.kind == "range" else kind
                *first, last = node.pipeline.variables
                target = known if node.kind == "print" else inside
                target.update({**dict.fromkeys(first, "any"), last: element})
            if node.kind == "template" and node.name not in self._defined:
                raise TemplateError(f"there is no template {node.name!r}", piece=node.text, offset=node.offset)
            if node.kind == "define":
                self.nodes(node.body, "any", {"$": "any"})
                continue
            within = {"range": _ELEMENTS.get(kind, "any"), "with": kind, "block": kind}.get(node.kind, dot)
            self.nodes(node.body, within, {**inside, "$": kind} if node.kind == "block" else inside)
            self.nodes(node.otherwise, dot, inside)

    def _pipeline(self, pipeline: Pipeline, dot: str, variables: dict[str, str]) -> str:
        kind = "any"
        for place, terms in enumerate(pipeline.commands):
            kinds = [self._term(term, dot, variables) for term in terms]
            first = terms[0]
            if first.fields and (place or len(terms) > 1) and kinds[0] != "any":
                raise TemplateError(f"{first} is not a function", piece=str(first), offset=first.offset)
            kind = _RESULTS.get(first.text, "any") if first.kind == "word" else kinds[0]
            if first.text == "index" and len(terms) == 3 and kinds[1] == "labels" and terms[2].kind == "string":
                self._label(terms[2].text[1:-1], terms[2])
        return kind

    def _term(self, term: Term, dot: str, variables: dict[str, str]) -> str:
        if term.inner is not None:
            kind = self._pipeline(term.inner, dot, variables)
        elif term.kind == "dot":
            kind = dot
        elif term.kind == "variable":
            kind = variables.get(term.text, "any")
        else:
            kind = "any"
        for place, name in enumerate(term.fields):
            kind = self._field(kind, name, term, place)
        return kind

    def _field(self, kind: str, name: str, term: Term, place: int) -> str:
        piece = str(term)
        match kind:
            case "labels":
                self._label(name, term)
                return "text"
            case "root" | "sample":
                fields = _ROOT if kind == "root" else _SAMPLE
                if name not in fields:
                    what = "an alert" if kind == "root" else "a sample"
                    raise TemplateError(
                        f"{what} has no field {name!r}",
                        piece=piece,
                        offset=term.offset,
                        hint=did_you_mean(name, fields),
                    )
                return fields[name]
            case "number" | "text" | "samples":
                before = piece.removesuffix("".join(f".{one}" for one in term.fields[place:])) or "."
                raise TemplateError(
                    f"{before} is {_NAMES[kind]} and has no field {name!r}", piece=piece, offset=term.offset
                )
        return "any"

    def _label(self, label: str, term: Term) -> None:
        if label not in self._labels:
            raise TemplateError(
                f"the alert has no label {label!r}",
                piece=label,
                offset=term.offset,
                hint=did_you_mean(
                    label, self._labels, otherwise=f"its labels: {', '.join(sorted(self._labels)) or 'none'}"
                ),
            )


_NAMES = {"number": "a number", "text": "a text", "samples": "a list of samples"}
