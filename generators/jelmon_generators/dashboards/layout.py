"""The grid of a dashboard: headings, and lines of panels side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafanalib import core

COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of the lines below it. Those of a ``collapsed`` one ask for nothing until it is opened."""

    number: int
    title: str
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, of equal width unless ``widths`` is given."""

    height: int
    panels: Sequence[core.Panel]
    widths: Sequence[int] = ()


def arrange(rows: Sequence[Heading | Line]) -> list[core.Panel]:
    """Place the panels from top to bottom.

    Raises:
        ValueError: the panels of a line do not fill its width, or a repeated panel has not a line of its own.
    """
    placed: list[core.Panel] = []
    inside = placed  # where panels go: on the dashboard, or into a collapsed row
    top = 0
    below = 0  # height of what a collapsed row hides
    for row in rows:
        if isinstance(row, Heading):
            top, below = top - below, 0
            place = core.GridPos(h=1, w=COLUMNS, x=0, y=top)
            heading = core.RowPanel(id=row.number, title=row.title, collapsed=row.collapsed, gridPos=place, panels=[])
            placed.append(heading)
            inside = heading.panels if row.collapsed else placed
            top += 1
            continue
        _fill(row, top, inside)
        top += row.height
        below += row.height if inside is not placed else 0
    return placed


def _fill(row: Line, top: int, inside: list[core.Panel]) -> None:
    widths = row.widths or [COLUMNS // len(row.panels)] * len(row.panels)
    if sum(widths) != COLUMNS or len(widths) != len(row.panels):
        raise ValueError(f"the line of {row.panels[0].title!r} does not fill {COLUMNS} columns: {list(widths)}")
    if len(row.panels) > 1 and (repeated := [panel for panel in row.panels if panel.repeat.variable]):
        raise ValueError(f"{repeated[0].title!r} is repeated: beside other panels that leaves holes")
    left = 0
    for panel, width in zip(row.panels, widths, strict=True):
        panel.gridPos = core.GridPos(h=row.height, w=width, x=left, y=top)
        inside.append(panel)
        left += width
