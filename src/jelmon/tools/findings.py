"""Lists the problems of a file: each mistake once, the lines that repeat it as a count."""

import re

from jelmon.errors import Problem, plural

SHOWN = 20
"""Mistakes, and lines that repeat one, that are listed."""

_VALUE = re.compile(r"'[^']*'$|\"[^\"]*\"$|\d+")


def listing(problems: list[Problem], noun: str) -> str:
    """Return the problems and their count, such as ``3 invalid rows``."""
    mistakes: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        mistakes.setdefault((_VALUE.sub("", problem.message), problem.hint), []).append(problem)
    lines = [_listed(same) for same in list(mistakes.values())[:SHOWN]]
    if len(mistakes) > SHOWN:
        lines.append(f"... and {len(mistakes) - SHOWN} more, the next in line {list(mistakes.values())[SHOWN][0].line}")
    lines.append(plural(len(problems), f"invalid {noun}"))
    return "\n".join(lines)


def _listed(same: list[Problem]) -> str:
    first, *others = same
    if not others:
        return str(first)
    numbers = ", ".join(str(problem.line) for problem in others[:SHOWN]) + ", ..." * (len(others) > SHOWN)
    return f"{first}\n    the same in {plural(len(others), 'other line')}: {numbers}"
