"""Unit tests of what is recorded for an objective: counts, the ratio of every window, and the budget.

The counts are fed by their recorded names, a burst for each window: older than half of the window and too old for the
next shorter one. So each ratio has a value of its own, which another window, factor or operator does not give. Bursts
are between two evaluations and over at the next, so that nothing is recorded for the same moment.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jelmon_generators.compile.slo_counts import Counts
from jelmon_generators.compile.slos import Recorded, budget, guarded, windows_of
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.definitions import Slo
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.promql.expressions import duration, number
from jelmon_generators.promql.series import Series
from jelmon_generators.unit_tests.counters import (
    Labels,
    closed_of,
    counted_labels,
    counts_too,
    job_of,
    not_counted,
    page_of,
    series_name,
)
from jelmon_generators.unit_tests.promtool import file_text

Known = Mapping[str, Series]

TESTS_FOLDER = "rules/tests/objectives"
_VALID = 1000.0  # events, or minutes, of a burst
_STEP = 30.0  # between two samples; every second one may be at an evaluation
_RARELY = 12 * 3600.0  # between two evaluations, where only the last one matters
_PRECISION = 0.0001  # relative; three digits of what is written in a rule are one part in a thousand


def render(made: Compilation) -> dict[str, str]:
    """Return one test file for the ratios of each objective, and one for its counts."""
    groups = {group.name: group for group in made.groups}
    files, known = {}, made.bundle.series
    for slo in made.bundle.slos.values():
        group = groups[f"slo_{slo.name}"]
        source, path = slo.fields.place.source.path, f"{TESTS_FOLDER}/{group.name}"
        files[f"{path}_ratios.yml"] = file_text(source, [_ratios(slo, known)], group, evaluation_seconds=_RARELY)
        if cases := [*_counts(slo, known), *_missing(slo, known)]:
            files[f"{path}_counts.yml"] = file_text(source, cases, group)
    return files


def _row_labels(slo: Slo, row: str, known: Known) -> Labels:
    names = {label: f"{row}-{label}" for label in slo.by if label != "job"}
    return {**names, "job": job_of(slo.valid, known), "instance": "all"}


def _equals(slo: Slo, signal: str, value: float) -> str:
    """Return a query for the rows in which a recording has a value, with all their labels."""
    by = ", ".join(sorted({"instance", "job", *slo.by}))
    tolerance = number((abs(value) or 0.001) * _PRECISION)
    return f"group by ({by}) (abs(jelmore:{signal} - {_operand(value)}) < {tolerance})"


def _operand(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


# --- counts ---


class _Counted(NamedTuple):
    """A row of the test of counts: its counters, one sample a minute, and what is counted after ten minutes."""

    name: str
    good: str
    bad: str
    valid: int  # without the bad ones
    wrong: int


_COUNTED = (
    _Counted("burning", "0+30x20", "0+10x20", 150, 50),
    _Counted("healthy", "0+31x20", "", 155, 0),
    _Counted("new", "_x8 70x12", "_x8 20x12", 70, 20),  # the first events of a series count
    _Counted("back", "71x4 _x3 71x12", "21x4 _x3 21x12", 0, 0),  # those that were there before do not
)


def _counts(slo: Slo, known: Known) -> Iterator[Case]:
    """Yield a case with two replicas that count the same events; one row has no bad event, one is new, one is back."""
    if slo.condition:
        return
    good, bad = counted_labels(slo.valid, known, unlike=slo.bad), counted_labels(slo.bad, known)
    if good is None or bad is None or (good.keys() | bad.keys()) & set(slo.by):
        return
    names, case = Counts(slo), Case("events are counted once, however many replicas expose them")
    both = counts_too(slo.valid, series_name(slo.bad), bad)
    rows = _COUNTED if set(slo.by) - {"job"} else _COUNTED[:1]
    for instance in ("a", "b"):
        target = {"job": job_of(slo.valid, known), "instance": instance, "pod": f"{instance}-pod"}
        case.series.append((selector(page_of(slo.valid), target), "1x20"))
        for row in rows:
            labels = {**_row_labels(slo, row.name, known), **target}
            case.series.append((selector(series_name(slo.valid), {**labels, **good}), row.good))
            if row.bad:
                case.series.append((selector(series_name(slo.bad), {**labels, **bad}), row.bad))
            neither = _neither(slo, {**labels, **good}, {**labels, **bad}, known)
            case.series += dict.fromkeys((selector(name, other), "0+7x20") for name, other in neither)
    expected: dict[str, list[str]] = {}
    for row in rows:
        sample = selector("", _row_labels(slo, row.name, known))
        valid = row.valid + (row.wrong if both else 0)
        expected.setdefault(_equals(slo, names.valid_name, valid), []).append(sample)
        expected.setdefault(_equals(slo, names.bad_name, row.wrong), []).append(sample)
    case.checks = [(query, 600, samples) for query, samples in expected.items()]
    yield case


def _neither(slo: Slo, good: Labels, bad: Labels, known: Known) -> Iterator[tuple[str, Labels]]:
    """Yield series that are neither valid nor bad, and differ from such in one label."""
    for text, labels in ((slo.valid, good), (slo.bad, bad)):
        name = series_name(text)
        for other in not_counted(text, name, labels, closed_of(text, known)):
            if not counts_too(slo.valid, name, other) and not counts_too(slo.bad, name, other):
                yield name, other


def _missing(slo: Slo, known: Known) -> Iterator[Case]:
    """Yield a case for each state of the source: exposing two series on two replicas, exposing nothing, and down."""
    labels = counted_labels(slo.valid, known) if slo.absent_seconds else None
    if labels is None:
        return
    for up, counted in ((1, 2), (1, 0), (0, 0)):
        name = f"{counted} series are counted while the source is {'up' if up else 'down'}"
        case = Case(name)
        for instance in ("a", "b"):
            target = {"job": job_of(slo.valid, known), "instance": instance, "pod": f"{instance}-pod"}
            case.series.append((selector("up", target), f"{up}x5"))
            for row in range(counted):
                names = {**target, **{label: f"{row}-{label}" for label in slo.by}, **labels}
                case.series.append((selector(series_name(slo.valid), names), "0x5"))
        distinct = counted if set(slo.by) - labels.keys() - {"job"} else min(counted, 1)
        query = f"group by (instance, job) (jelmore:{Recorded(slo.name).series} == {distinct})"
        seen = [selector("", {"instance": "all", "job": job_of(slo.valid, known)})] if up else []
        case.checks.append((query, 180, seen))
        yield case


# --- ratios and the budget ---


def _ratios(slo: Slo, known: Known) -> Case:
    """Return a case with rows that burn at different rates, one of them just at the objective."""
    names, counts = Recorded(slo.name), Counts(slo)
    pairs = windows_of(slo)
    windows = sorted({slo.period_seconds, *(pair.short for pair in pairs), *(pair.long for pair in pairs)})
    end = (windows[-1] / 2 // _RARELY + 1) * _RARELY  # when everything is asked for
    ages = [window / 2 + (2 * _STEP if window % (4 * _STEP) else _STEP) for window in windows]
    allowed = float(budget(slo))
    rows = _bad_events(allowed, len(windows))
    name = "every window has its own ratio, and the budget follows from the longest one"
    case = Case(name, sample_seconds=_STEP)
    remaining: list[str] = []  # the rows that will have spent the rest of their budget some day
    moments = [round((end - age) / _STEP) for age in ages]
    for row, bad in rows.items():
        labels = _row_labels(slo, row, known)
        valid = [_VALID] * len(windows)
        case.series.append((selector(f"jelmore:{counts.valid_name}", labels), _bursts(moments, valid)))
        case.series.append((selector(f"jelmore:{counts.bad_name}", labels), _bursts(moments, bad)))
        ratios = _ratios_of(bad)
        sample = selector("", labels)
        for place, (window, ratio) in enumerate(zip(windows, ratios, strict=True), 1):
            case.checks.append((_equals(slo, names.ratio(window), ratio), end, [sample]))
            if window in guarded(slo):
                events = _VALID * place / counts.each_counted
                case.checks.append((_equals(slo, names.events(window), events), end, [sample]))
        recent = windows_of(slo)[0].long
        left, now = 1 - ratios[-1] / allowed, ratios[windows.index(recent)]
        if row == "exact" and left:
            continue  # the budget has no exact half of the binary kind
        case.checks.append((_equals(slo, names.left, left), end, [sample]))
        if left > 0 and now > 0:
            remaining.append(sample)
            seconds = left * allowed * slo.period_seconds / now
            case.checks.append((_equals(slo, names.exhausted_in, seconds), end, [sample]))
    for start, moment in enumerate(moments):
        _add_idle_row(case, slo, known, windows[start:], moment, end)
    by = ", ".join(sorted({"instance", "job", *slo.by}))
    case.checks.append((f"group by ({by}) (jelmore:{names.exhausted_in})", end, remaining))
    samples: dict[str, list[str]] = {}
    for expression, _, rows_of in case.checks:
        samples.setdefault(expression, []).extend(rows_of)
    case.checks = [(expression, end, rows_of) for expression, rows_of in samples.items()]
    return case


def _add_idle_row(case: Case, slo: Slo, known: Known, windows: list[float], moment: int, end: float) -> None:
    """Add a row in which nothing happened, as far as these windows know."""
    names, counts = Recorded(slo.name), Counts(slo)
    labels = _row_labels(slo, f"idle-{duration(windows[0])}", known)
    for name in (counts.valid_name, counts.bad_name):
        case.series.append((selector(f"jelmore:{name}", labels), _bursts([moment], [0.0])))
    signals = [names.ratio(window) for window in windows]
    signals += [names.events(window) for window in windows if window in guarded(slo)]
    case.checks += [(_equals(slo, signal, 0.0), end, [selector("", labels)]) for signal in signals]
    case.checks.append((_equals(slo, names.left, 1.0), end, [selector("", labels)]))


def _bad_events(allowed: float, bursts: int) -> dict[str, list[float]]:
    """Return how many bad events each burst of a row has."""
    return {
        "burning": [_VALID * min(1.0, allowed * 20) / (place + 2) for place in range(bursts)],
        "spending": [_VALID * allowed / (place + 2) for place in range(bursts)],
        "exact": [_VALID * allowed] * bursts,
        "recovered": [0.0] * (bursts - 1) + [_VALID * allowed / 2],
    }


def _ratios_of(bad: list[float]) -> list[float]:
    """Return the ratio of every window; each holds one burst more than the next shorter one."""
    written = [float(number(amount)) for amount in bad]
    return [sum(written[:bursts]) / (_VALID * bursts) for bursts in range(1, len(written) + 1)]


def _bursts(moments: list[int], amounts: list[float]) -> str:
    """Return a series with samples at some evaluations only."""
    parts, place = [], 0
    for moment, amount in sorted(zip(moments, amounts, strict=True)):
        parts.append(f"_x{moment - place} {number(amount)} stale")
        place = moment + 2
    return " ".join(parts)
