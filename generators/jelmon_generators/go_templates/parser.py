"""Go templates to trees (text/template/parse/parse.go); an invalid template is refused with the piece at fault."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.go_templates.functions import Arity
from jelmon_generators.go_templates.lexer import KEYWORDS, Action, TemplateError, Token, actions


@dataclass(frozen=True, slots=True)
class Term:
    """An operand: a word, a literal, a dot, a variable or a pipeline in parentheses, and the fields after it."""

    kind: str  # dot, variable, word, string, char, number, pipeline
    text: str
    fields: tuple[str, ...]
    offset: int
    inner: "Pipeline | None" = None

    def __str__(self) -> str:
        start = "" if self.kind == "dot" else "(...)" if self.inner else self.text
        return start + "".join(f".{name}" for name in self.fields) or "."


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each with its operands; the variables that it declares or sets."""

    commands: tuple[tuple[Term, ...], ...]
    variables: tuple[str, ...]
    text: str
    offset: int


@dataclass(slots=True)
class Node:
    """An action. ``kind``: print, if, range, with, define, block, template; a body for those that have one."""

    kind: str
    pipeline: Pipeline | None
    name: str
    text: str
    offset: int
    body: list["Node"] = field(default_factory=list)
    otherwise: list["Node"] = field(default_factory=list)
    end: int = 0  # where the action that closes it ends


_CONSTANTS = frozenset({"true", "false", "nil"})
_BODIES = frozenset({"if", "range", "with", "define", "block"})


def parse(text: str, functions: Mapping[str, Arity], variables: frozenset[str] = frozenset()) -> list[Node]:
    """Return the actions of a template, nested.

    Raises:
        TemplateError: Go would refuse it, or fail when it calls a function.
    """
    return _Parser(functions, [*variables, "$"]).parse(text)


class _Reader:
    """The tokens of one action."""

    def __init__(self, action: Action) -> None:
        self.action = action
        tokens = list(action.tokens)
        while tokens and tokens[0].kind == "space":
            del tokens[0]
        while tokens and tokens[-1].kind == "space":
            del tokens[-1]
        self._tokens = tokens
        self._at = 0

    def peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def next(self) -> Token | None:
        token = self.peek()
        self._at += 1
        return token

    def skip_space(self) -> bool:
        token = self.peek()
        if token is not None and token.kind == "space":
            self._at += 1
            return True
        return False

    def declaration(self) -> tuple[str, list[Token]] | None:
        """Return ``:=`` or ``=`` and the variables before it, if the rest begins with a declaration."""
        rest = [token for token in self._tokens[self._at :] if token.kind != "space"]
        names: list[Token] = []
        for place, token in enumerate(rest):
            if place % 2 == 0:
                if token.kind != "variable":
                    return None
                names.append(token)
            elif token.text in (":=", "="):
                self._at = self._tokens.index(token) + 1
                return token.text, names
            elif token.text != ",":
                return None
        return None

    def error(self, message: str, *, hint: str = "") -> TemplateError:
        return TemplateError(message, piece=self.action.text, offset=self.action.offset, hint=hint)


class _Parser:
    def __init__(self, functions: Mapping[str, Arity], variables: list[str]) -> None:
        self._functions = functions
        self._variables = variables

    def parse(self, text: str) -> list[Node]:
        top: list[Node] = []
        open_nodes: list[tuple[Node, list[str]]] = []  # and the variables before it
        into = [top]
        for action in actions(text):
            reader = _Reader(action)
            head = reader.peek()
            word = head.text if head is not None and head.kind == "word" and head.text in KEYWORDS else ""
            match word:
                case "end":
                    if not open_nodes:
                        raise reader.error("{{ end }} closes nothing", hint="remove it")
                    _nothing_after(reader)
                    node, known = open_nodes.pop()
                    into.pop()
                    self._variables[:] = known
                    node.end = action.offset + len(action.text)
                    while node.kind == "else if":  # closed together with the if that it belongs to
                        node, known = open_nodes.pop()
                        into.pop()
                        self._variables[:] = known
                        node.end = action.offset + len(action.text)
                case "else":
                    self._otherwise(reader, open_nodes, into)
                case "break" | "continue":
                    if not any(node.kind == "range" for node, _ in open_nodes):
                        raise reader.error(f"{{{{ {word} }}}} is not inside a range")
                    _nothing_after(reader)
                case _:
                    known = self._variables[:]
                    node = self._node(word, reader, nested=bool(open_nodes))
                    into[-1].append(node)
                    if node.kind in _BODIES:
                        open_nodes.append((node, known))
                        into.append(node.body)
        if open_nodes:
            node = open_nodes[-1][0]
            raise TemplateError(
                f"{{{{ {node.kind} }}}} is not closed", piece=node.text, offset=node.offset, hint="add {{ end }}"
            )
        return top

    def _otherwise(self, reader: _Reader, open_nodes: list[tuple[Node, list[str]]], into: list[list[Node]]) -> None:
        node = open_nodes[-1][0] if open_nodes else None
        if node is None or node.kind in ("define", "block") or into[-1] is node.otherwise:
            raise reader.error("{{ else }} has no if, range or with before it")
        reader.next()
        into[-1] = node.otherwise
        if reader.peek() is None:
            return
        reader.skip_space()
        token = reader.peek()
        if token is None or token.text != "if" or node.kind not in ("if", "else if"):
            raise reader.error("only `if` may follow else")
        before = self._variables[:]
        inner = self._node("if", reader, nested=True)
        inner.kind = "else if"
        node.otherwise.append(inner)
        open_nodes.append((inner, before))
        into.append(inner.body)

    def _node(self, word: str, reader: _Reader, *, nested: bool) -> Node:
        action = reader.action
        if word in ("", "nil"):
            return Node("print", self._pipeline(reader, "command"), "", action.text, action.offset)
        reader.next()
        reader.skip_space()
        name = ""
        if word in ("define", "template", "block"):
            token = reader.next()
            if token is None or token.kind != "string":
                raise reader.error(f"{word} needs a name in quotes")
            name = token.text[1:-1]
            if word == "define" and nested:
                raise reader.error("define is only possible outside of other actions")
            if word == "define" or (word == "template" and reader.peek() is None):
                _nothing_after(reader)
                if word == "define":
                    self._variables[:] = ["$"]
                return Node(word, None, name, action.text, action.offset)
            reader.skip_space()
        return Node(word, self._pipeline(reader, word), name, action.text, action.offset)

    def _pipeline(self, reader: _Reader, context: str) -> Pipeline:
        declared = reader.declaration()
        names: list[str] = []
        if declared is not None:
            sign, tokens = declared
            if len(tokens) > (2 if context == "range" else 1):
                raise reader.error("too many variables")
            for token in tokens:
                if sign == "=" and token.text not in self._variables:
                    raise self._undefined(token)
            names = [token.text for token in tokens]
            reader.skip_space()
        made = self._commands(reader, context, closing=False, names=tuple(names))
        if declared is not None and declared[0] == ":=":
            self._variables.extend(names)
        return made

    def _commands(self, reader: _Reader, context: str, *, closing: bool, names: tuple[str, ...] = ()) -> Pipeline:
        commands: list[tuple[Term, ...]] = []
        while True:
            reader.skip_space()
            terms = self._command(reader)
            if not terms:
                raise reader.error(f"nothing follows {context}" if not commands else "nothing follows '|'")
            first = terms[0]
            if commands and (
                first.kind in ("string", "char", "number", "dot") or first.text in ("nil", "true", "false")
            ):
                raise TemplateError(f"{first.text} is not a function", piece=first.text, offset=first.offset)
            self._check_call(terms, piped=bool(commands))
            commands.append(terms)
            token = reader.next()
            if token is None or token.text == ")":
                if (token is None) == closing:
                    raise reader.error("parentheses do not match")
                return Pipeline(tuple(commands), names, reader.action.text, reader.action.offset)
            if token.text != "|":
                raise TemplateError(f"unexpected {token.text!r}", piece=token.text, offset=token.offset)

    def _command(self, reader: _Reader) -> tuple[Term, ...]:
        terms: list[Term] = []
        while (term := self._term(reader)) is not None:
            terms.append(term)
            if not reader.skip_space():
                token = reader.peek()
                if token is not None and token.text not in ("|", ")"):
                    raise TemplateError(f"unexpected {token.text!r}", piece=token.text, offset=token.offset)
                break
        return tuple(terms)

    def _term(self, reader: _Reader) -> Term | None:
        token = reader.peek()
        if token is None or token.text in ("|", ")"):
            return None
        reader.next()
        inner = None
        kind, text, fields = token.kind, token.text, []
        if text == "(":
            inner, kind = self._commands(reader, "a parenthesis", closing=True), "pipeline"
        elif text == ".":
            kind = "dot"
        elif kind == "field":
            kind, fields = "dot", [text[1:]]
        elif kind == "variable" and text not in self._variables:
            raise self._undefined(token)
        elif kind == "word" and text not in _CONSTANTS and text not in self._functions:
            raise TemplateError(
                f"there is no function {text!r}",
                piece=text,
                offset=token.offset,
                hint=did_you_mean(text, self._functions, otherwise=f"such as {', '.join(_examples(self._functions))}"),
            )
        elif kind == "mark":
            raise TemplateError(f"unexpected {text!r}", piece=text, offset=token.offset)
        while (after := reader.peek()) is not None and after.kind == "field":
            if kind in ("string", "char", "number") or text == "." or text in _CONSTANTS:
                raise TemplateError(f"{text} has no fields", piece=f"{text}{after.text}", offset=token.offset)
            reader.next()
            fields.append(after.text[1:])
        return Term(kind, text, tuple(fields), token.offset, inner)

    def _check_call(self, terms: tuple[Term, ...], *, piped: bool) -> None:
        for place, term in enumerate(terms):
            if term.kind != "word" or term.text not in self._functions:
                if place == 0 and term.text == "nil":
                    raise TemplateError("nil is not a command", piece="nil", offset=term.offset)
                # a field may be a method
                if place == 0 and (len(terms) > 1 or piped) and term.kind != "word" and not term.fields:
                    raise TemplateError(
                        f"{term} is not a function",
                        piece=term.text,
                        offset=term.offset,
                        hint="write the function first",
                    )
                continue
            given = len(terms) - 1 + piped if place == 0 else 0
            least, most = self._functions[term.text]
            if given < least or (most is not None and given > most):
                wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
                raise TemplateError(
                    f"{term.text} has {given} argument{'' if given == 1 else 's'}, and needs {wanted}",
                    piece=term.text,
                    offset=term.offset,
                )

    def _undefined(self, token: Token) -> TemplateError:
        return TemplateError(
            f"there is no variable {token.text!r}",
            piece=token.text,
            offset=token.offset,
            hint=did_you_mean(token.text, [name for name in self._variables if name != "$"]),
        )


def _nothing_after(reader: _Reader) -> None:
    reader.next()
    reader.skip_space()
    if reader.peek() is not None:
        raise reader.error("nothing may follow here")


def _examples(functions: Mapping[str, Arity]) -> Iterator[str]:
    yield from (name for name in ("humanize", "humanizeDuration", "humanizePercentage", "toUpper") if name in functions)
