"""Excuses: ``# jelmon: allow JM012 reason`` on a line of YAML, or alone above it, silences one check there.

An excuse needs a reason. One that names no check, a check that cannot be excused, or that excuses nothing is a problem
itself.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from jelmon.config.strict_yaml import Place, Source
from jelmon.errors import Problem
from jelmon_generators.checks import CHECKS, EXCUSE, YAML, Check

_EXCUSE = re.compile(r"#\s*jelmon:\s*allow\b[ \t]*(\S*)[ \t]*(.*)")


@dataclass(frozen=True, slots=True)
class Excuse:
    """One comment. ``line`` is the line that it excuses."""

    place: Place
    line: int
    check: Check

    def covers(self, problem: Problem) -> bool:
        """Return whether the problem is the one that is excused."""
        return (problem.path, problem.line, problem.check) == (self.place.source.path, self.line, self.check.id)


def read(sources: Iterable[Source]) -> tuple[Excuse, ...]:
    """Return every valid excuse of these files; report the others."""
    return tuple(excuse for source in sources for excuse in _of(source))


def _of(source: Source) -> Iterator[Excuse]:
    for number, line in enumerate(source.lines, 1):
        if "jelmon:" not in line or not (match := _EXCUSE.search(line)):
            continue
        place = Place(source, number, match.start() + 1, len(match[0].rstrip()))
        check = CHECKS.get(match[1])
        if check is None:
            EXCUSE.report(
                place, f"unknown check {match[1]!r}", hint="write # jelmon: allow JM012 reason; see docs/checks.md"
            )
        elif not check.excusable:
            EXCUSE.report(place, f"{check.id} ({check.name}) cannot be excused", hint="what follows relies on it")
        elif not match[2].strip():
            EXCUSE.report(place, "an excuse needs a reason", hint=f"write # jelmon: allow {check.id} reason")
        else:
            yield Excuse(place, _excused_line(source, number), check)


def _excused_line(source: Source, number: int) -> int:
    """Return the line of the comment, or the next one that is not a comment when it stands alone."""
    while number < len(source.lines) and source.lines[number - 1].lstrip().startswith("#"):
        number += 1
    return number


def remaining(problems: Iterable[Problem], excuses: Iterable[Excuse]) -> list[Problem]:
    """Return the problems that no excuse covers. A problem without an id is one of the YAML itself."""
    excuses = tuple(excuses)
    return [
        problem if problem.check else replace(problem, check=YAML.id)
        for problem in problems
        if not any(excuse.covers(problem) for excuse in excuses)
    ]


def report_unused(problems: Iterable[Problem], excuses: Iterable[Excuse]) -> None:
    """Report excuses that cover no problem; call it when every check has run."""
    problems = tuple(problems)
    for excuse in excuses:
        if not any(excuse.covers(problem) for problem in problems):
            EXCUSE.report(
                excuse.place,
                f"line {excuse.line} has no problem {excuse.check.id}",
                hint="remove the excuse, or move it to the line of the problem",
            )
