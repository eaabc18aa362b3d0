"""The tokens of a Go template (text/template/parse/lex.go)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

LEFT, RIGHT = "{{", "}}"
KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"})
_TRIMS = re.compile(r"-[ \t\r\n]")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    | (?P<char>'(?:\\.|[^'\\\n])+')
    | (?P<number>[+-]?(?:0[xXbBoO][0-9a-fA-F_]+|\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)i?)
    | (?P<variable>\$\w*)
    | (?P<field>\.[^\W\d]\w*)
    | (?P<word>[^\W\d]\w*)
    | (?P<mark>:=|[=|,().])""",
    re.VERBOSE,
)
_ENDS_A_WORD = re.compile(r"[ \t\r\n.,|:)(=]|-?\}\}")
_CLOSE = re.compile(r"[ \t\r\n]+-\}\}|\}\}")
_ESCAPE = re.compile(r"""\\(?:[abfnrtv\\"']|x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})""")
_NEEDS_AN_END = frozenset({"number", "variable", "field", "word"})


class TemplateError(ValueError):
    """A template is invalid. ``piece`` is the text at fault, ``offset`` where it begins."""

    def __init__(self, message: str, *, piece: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.piece = piece
        self.offset = offset
        self.hint = hint


class Token(NamedTuple):
    """A token inside an action. ``kind`` is the name of a group of the pattern, ``space`` included."""

    kind: str
    text: str
    offset: int


class Action(NamedTuple):
    """What stands between braces: its tokens, and the text with the braces."""

    tokens: tuple[Token, ...]
    text: str
    offset: int


def actions(text: str) -> Iterator[Action]:
    """Yield the actions of a template, without comments.

    Raises:
        TemplateError: a brace, a string or a comment is not closed, or a character cannot be part of an action.
    """
    position = 0
    while (start := text.find(LEFT, position)) >= 0:
        inside = start + len(LEFT)
        if _TRIMS.match(text, inside):
            inside += 2
        if text.startswith("/*", inside):
            position = _after_comment(text, start, inside)
            continue
        tokens, position = _tokens(text, start, inside)
        yield Action(tokens, text[start:position], start)


def _after_comment(text: str, start: int, inside: int) -> int:
    end = text.find("*/", inside)
    if end < 0:
        raise TemplateError("the comment is not closed", piece=text[start : inside + 2], offset=start, hint="add */}}")
    end += 2
    if re.match(r"[ \t\r\n]-\}\}", text[end:]):
        end += 2
    if not text.startswith(RIGHT, end):
        raise TemplateError(
            "a comment must fill its action", piece=text[start : inside + 2], offset=start, hint="write {{/* ... */}}"
        )
    return end + len(RIGHT)


def _tokens(text: str, start: int, inside: int) -> tuple[tuple[Token, ...], int]:
    tokens: list[Token] = []
    position, depth = inside, 0
    while True:
        if close := _CLOSE.match(text, position):
            if depth:
                raise TemplateError(
                    "a parenthesis is not closed", piece=text[start : close.end()], offset=start, hint="add )"
                )
            return tuple(tokens), close.end()
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unexpected(text, start, position)
        kind = str(match.lastgroup)
        token = Token(kind, match.group(), position)
        position = match.end()
        if kind in _NEEDS_AN_END and position < len(text) and not _ENDS_A_WORD.match(text, position):
            raise TemplateError(
                f"{text[position]!r} cannot follow {token.text!r}", piece=token.text, offset=token.offset
            )
        depth += {"(": 1, ")": -1}.get(token.text, 0) if kind == "mark" else 0
        if depth < 0:
            raise TemplateError("')' closes nothing", piece=text[start:position], offset=start, hint="remove it")
        if token.text[0] in "\"'" and _ESCAPE.sub("", token.text).count("\\"):
            raise TemplateError(f"invalid escape in {token.text}", piece=token.text, offset=token.offset)
        tokens.append(token)


def _unexpected(text: str, start: int, position: int) -> TemplateError:
    line = text[start:].split("\n", 1)[0]
    if position >= len(text) or text.startswith(LEFT, position):
        return TemplateError("a template is not closed", piece=line, offset=start, hint="add }}")
    character = text[position]
    if character in "\"`'":
        return TemplateError("a string is not closed", piece=text[position:].split("\n", 1)[0], offset=position)
    return TemplateError(f"{character!r} cannot stand in a template", piece=character, offset=position)
