"""Listing what is wrong with somebody's file: the first problems in full, the others counted."""

from jelmon.errors import Problem

SHOWN = 20


def listing(problems: list[Problem], noun: str) -> str:
    """The problems, and how many there are: ``3 bad rows``."""
    lines = [str(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"... and {len(problems) - SHOWN} more, the next in line {problems[SHOWN].line}")
    lines.append(f"{len(problems)} bad {noun}{'s' * (len(problems) != 1)}")
    return "\n".join(lines)
