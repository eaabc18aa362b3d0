"""How detectors are judged: F1 and covering of change points, and the standard profile of NAB.

F1 and covering follow van den Burg and Williams, "An evaluation of change point detection algorithms"
(arXiv 2003.06222): index 0 counts as a change point for everybody, precision is against the union of the annotators,
recall and covering are averaged over them. NAB follows Lavin and Ahmad (arXiv 1510.03336), standard profile.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

Annotations = Mapping[str, Sequence[int]]
"""Annotator -> first index of each new segment."""


def _hits(truth: Iterable[int], found: Iterable[int], margin: int) -> int:
    """Change points of ``truth`` with one of ``found`` within the margin; each found one counts once."""
    left = set(found)
    hits = 0
    for point in sorted(truth):
        near = [other for other in left if abs(other - point) <= margin]
        if near:
            hits += 1
            left.remove(min(near, key=lambda other: abs(other - point)))
    return hits


def f1(annotations: Annotations, found: Iterable[int], *, margin: int = 5) -> float:
    """F1 of the change points found, with index 0 in every set."""
    predicted = {0, *found}
    truths = [{0, *points} for points in annotations.values()]
    precision = _hits(set().union(*truths), predicted, margin) / len(predicted)
    recall = sum(_hits(truth, predicted, margin) / len(truth) for truth in truths) / len(truths)
    return 2 * precision * recall / (precision + recall)


def cover(annotations: Annotations, found: Iterable[int], length: int) -> float:
    """Length-weighted best overlap (Jaccard) of the annotated segments with the found ones."""
    predicted = _segments(found, length)
    total = 0.0
    for points in annotations.values():
        for start, end in _segments(points, length):
            best = max(
                (min(end, stop) - max(start, begin)) / (max(end, stop) - min(start, begin)) for begin, stop in predicted
            )
            total += (end - start) * best
    return total / length / len(annotations)


def _segments(points: Iterable[int], length: int) -> list[tuple[int, int]]:
    bounds = [0, *sorted({point for point in points if 0 < point < length}), length]
    return list(itertools.pairwise(bounds))


def nab_raw(flags: Sequence[bool], windows: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Raw score of one file, and what perfect and silent detectors get. Windows are first and last row."""
    length = len(flags)
    probation = min(int(0.15 * length), 750)
    score = 0.0
    for first, last in windows:
        rows = [row for row in range(max(first, probation), last + 1) if flags[row]]
        if rows:
            score += _sigmoid(-(last - rows[0] + 1) / (last - first + 1)) / _sigmoid(-1.0)
        else:
            score -= 1.0
    inside = {row for first, last in windows for row in range(first, last + 1)}
    for row in range(probation, length):
        if flags[row] and row not in inside:
            before = [(first, last) for first, last in windows if last < row]
            if before:
                first, last = before[-1]
                score += 0.11 * _sigmoid((row - last) / max(1, last - first))
            else:
                score -= 0.11
    return score, float(len(windows)), -float(len(windows))


def nab(files: Iterable[tuple[float, float, float]]) -> float:
    """The normalised score over files: 100 is perfect, 0 is silence."""
    raw, perfect, silent = (math.fsum(column) for column in zip(*files, strict=True))
    return 100 * (raw - silent) / (perfect - silent)


def _sigmoid(position: float) -> float:
    """NAB's weight of a flag at a place relative to the window: 1 at its start, 0 at its end, to -1 after it."""
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1
