"""Generated tests of a regression: every bound of the analyzer's verdict, its age, and the form without it."""

from typing import NamedTuple

from jelmon.catalogue import REGRESSION_BASELINE_READY
from jelmon_generators.model.conditions.base import Timing
from jelmon_generators.model.known import Known
from jelmon_generators.model.test_case import Case
from jelmon_generators.promql.expressions import number

_ANOTHER = "another_signal"
_MAD_FACTOR = 4.4478  # 3 * 1.4826, as written in the rule
SUCCESS = 'jelmore_analyzer_last_success_timestamp_seconds{analyzer="regression",job="jelmon-analyzer"}'


class Bounds(NamedTuple):
    """The numbers of a regression; ``worse`` is -1 where a smaller value is worse, else 1."""

    signal: str
    threshold: float
    lower_bound: float
    q_value: float
    floor: float
    worse: int


def cases(bounds: Bounds, timing: Timing, known: Known, *, judged: bool) -> list[Case]:
    """Return the cases for an alert that consists of one regression, of a signal with a pipeline.

    ``judged``: the analyzer can judge the signal.
    """
    if "pipeline" not in known.labels[bounds.signal]:
        return []
    interval = timing.interval_seconds
    worse, steady = bounds.worse, timing.duration_seconds + 2 * interval
    shape = f"x{round(steady / interval) + 2}"
    fresh = (SUCCESS, f"0+{interval:g}x600")
    good = (worse * bounds.threshold * 1.01, worse * (bounds.lower_bound + 0.01), bounds.q_value / 2)
    verdicts = [
        (good, True),
        ((worse * bounds.threshold, *good[1:]), False),
        ((good[0], worse * bounds.lower_bound, good[2]), False),
        ((good[0], worse * (bounds.lower_bound - 0.01), good[2]), False),
        ((good[0], worse * (bounds.lower_bound + 0.001), good[2]), True),
        ((*good[:2], bounds.q_value), False),
        ((*good[:2], bounds.q_value * 2), False),
        ((*good[:2], bounds.q_value * 0.99), True),
    ]
    verdict_case = Case("every bound of the analyzer's verdict", [fresh])
    history = Case("every bound of the judgement by history")
    silent = Case("while an analyzer runs, only its verdict counts", [fresh])
    for place, (verdict, fires) in enumerate(verdicts):
        verdict_case.series += _verdict(bounds, known, f"row-{place}", verdict, worse, shape)
        other = (-good[0], -good[1], 1.0) if fires else (2 * good[0], 2 * good[1], good[2])
        labels = _verdict_labels(bounds, known, f"row-{place}", signal=_ANOTHER)  # this must not matter
        verdict_case.series += _gauges(labels, other, worse, shape)
    past = _pasts(bounds, worse)
    for place, values in enumerate(past):
        rows = _history(bounds, known, f"row-{place}", values, shape)
        ready = _known_to_analyzer(bounds, known, f"row-{place}", shape)
        history.series += [*rows, ready]
        silent.series += [*rows, ready]
    firing = f'group by (pipeline) (ALERTS{{rule_id="{timing.rule_id}",alertstate="firing",escalation_level=""}})'
    verdict_case.checks.append((firing, steady, _rows([fires for _, fires in verdicts])))
    history.checks.append((firing, steady, _rows([_is_worse(bounds, worse, values) for values in past])))
    silent.checks.append((firing, steady, []))
    if not judged:
        return [history]
    unknown = Case("an analyzer decides about what it knows only", [fresh])
    for row in ("row-0", "row-1"):
        unknown.series += _history(bounds, known, row, past[0], shape)
    unknown.series.append(_known_to_analyzer(bounds, known, "row-1", shape))
    unknown.series.append(_known_to_analyzer(bounds, known, "row-0", shape, signal=_ANOTHER))
    unknown.checks.append((firing, steady, _rows([True])))
    return [verdict_case, history, silent, unknown, *_age(bounds, timing, known, good, firing)]


def _age(bounds: Bounds, timing: Timing, known: Known, good: tuple[float, float, float], firing: str) -> list[Case]:
    """Return cases in which the analyzer's last success is too old, so that the history of the signal decides."""
    worse, interval = bounds.worse, timing.interval_seconds
    limit = known.settings.analyzer_stale_seconds
    if timing.duration_seconds + interval >= limit or limit % interval:
        return []
    cases = []
    for success in (0.0, interval / 3):  # at an evaluation, so that the limit is met exactly, and between two
        stale = -(-(limit + success) // interval) * interval
        gone = stale + timing.keep_firing_seconds
        fires = stale - (-timing.duration_seconds // interval) * interval
        shape = f"x{round(max(gone, fires) / interval) + 4}"
        fresh = (SUCCESS, f"{success:.12g}{shape}")
        another = (SUCCESS.replace('"regression"', '"another"'), f"0+{interval:g}x600")
        case = Case(f"a stale verdict does not count: last success at {success:g} s", [fresh, another])
        case.series += _verdict(bounds, known, "row-0", good, worse, shape)
        case.checks = [(firing, gone - interval, _rows([True])), (firing, gone, [])]
        after = Case(f"history decides when verdicts are stale: last success at {success:g} s", [fresh, another])
        after.series += _history(bounds, known, "row-0", _pasts(bounds, worse)[0], shape)
        after.series.append(_known_to_analyzer(bounds, known, "row-0", shape))
        after.checks = [(firing, fires - interval, []), (firing, fires, _rows([True]))]
        cases += [case, after]
    return cases


Past = tuple[float, float, float]
"""Baseline, MAD and current median of a signal."""


def _pasts(bounds: Bounds, worse: int) -> list[Past]:
    """Return every bound of the judgement by history: on both sides of it and, where floats allow, met exactly."""
    level = max(100.0, 2 * bounds.floor)
    delta = level * bounds.threshold * 2
    spread = 10_000.0  # times the factor: a whole number
    far = float(round(spread * _MAD_FACTOR / (2 * bounds.threshold)))
    high = max(1.0, 2 * bounds.floor)
    points = [
        (level, delta / _MAD_FACTOR * 0.99, level + worse * delta),
        (level, delta / _MAD_FACTOR * 1.01, level + worse * delta),
        (far, spread, far + worse * spread * _MAD_FACTOR),
        (level, 0.0, level + worse * level * bounds.threshold),
        (0.0, 0.0, worse * high),  # a change relative to 0 is undefined
        (0.005, 0.0, 0.005 + worse * 0.005 * 2 * bounds.threshold if worse < 0 else high),
    ]
    if bounds.floor:
        points += [(bounds.floor / (1 + 2 * bounds.threshold), 0.0, bounds.floor * share) for share in (1.0, 1.01)]
    return points


def _is_worse(bounds: Bounds, worse: int, past: Past) -> bool:
    baseline, mad, median = (float(number(value)) for value in past)  # as they are written
    change = worse * (median - baseline)
    return (
        baseline > 0
        and change / baseline > bounds.threshold
        and change > _MAD_FACTOR * mad
        and (not bounds.floor or median > bounds.floor)
    )


def _verdict(
    bounds: Bounds, known: Known, row: str, verdict: tuple[float, float, float], worse: int, shape: str
) -> list[tuple[str, str]]:
    return [
        _known_to_analyzer(bounds, known, row, shape),
        (f"{known.records[bounds.signal]}{_labels(bounds, known, row)}", f"1{shape}"),
        *_gauges(_verdict_labels(bounds, known, row), verdict, worse, shape),
    ]


def _gauges(labels: str, verdict: tuple[float, float, float], worse: int, shape: str) -> list[tuple[str, str]]:
    change, near, q_value = verdict
    end = "upper" if worse < 0 else "lower"
    return [
        (f"jelmore_regression_change_ratio{labels}", f"{change:.12g}{shape}"),
        (f"jelmore_regression_change_{end}_ratio{labels}", f"{near:.12g}{shape}"),
        (f"jelmore_regression_q_value{labels}", f"{q_value:.12g}{shape}"),
    ]


def _known_to_analyzer(bounds: Bounds, known: Known, row: str, shape: str, *, signal: str = "") -> tuple[str, str]:
    return (f"{REGRESSION_BASELINE_READY.name}{_verdict_labels(bounds, known, row, signal=signal)}", f"1{shape}")


def _verdict_labels(bounds: Bounds, known: Known, row: str, *, signal: str = "") -> str:
    stage = ',stage="a-stage"' if "stage" in known.labels[bounds.signal] else ""
    return f'{{instance="a",job="jelmon-analyzer",pipeline="{row}",signal="{signal or bounds.signal}"{stage}}}'


def _history(
    bounds: Bounds, known: Known, row: str, values: tuple[float, float, float], shape: str
) -> list[tuple[str, str]]:
    record, labels = known.records[bounds.signal], _labels(bounds, known, row)
    names = ("baseline", "mad", "median5m")
    return [(f"{record}:{name}{labels}", f"{value:.12g}{shape}") for name, value in zip(names, values, strict=True)]


def _labels(bounds: Bounds, known: Known, row: str) -> str:
    names = sorted(known.labels[bounds.signal])
    return "{" + ",".join(f'{name}="{row if name == "pipeline" else f"a-{name}"}"' for name in names) + "}"


def _rows(fires: list[bool]) -> list[str]:
    return [f'{{pipeline="row-{place}"}}' for place, firing in enumerate(fires) if firing]
