"""Lists the problems of a file: the first in full, the others as a count."""

from jelmon.errors import Problem

SHOWN = 20


def listing(problems: list[Problem], noun: str) -> str:
    """Return the problems and their count, such as ``3 invalid rows``."""
    lines = [str(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"... and {len(problems) - SHOWN} more, the next in line {problems[SHOWN].line}")
    lines.append(f"{len(problems)} invalid {noun}{'s' * (len(problems) != 1)}")
    return "\n".join(lines)
