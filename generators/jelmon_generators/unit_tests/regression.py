"""Unit tests of the ``regression`` operator: every bound of the analyzer's verdict, its age, the form without it."""

from jelmon_generators.compiler import Compilation
from jelmon_generators.model.definitions import Alert, Regression
from jelmon_generators.model.truth import sign
from jelmon_generators.promql.expressions import number
from jelmon_generators.unit_tests.promtool import Case

_MAD_FACTOR = 4.4478  # 3 * 1.4826, as the rule says it
_SUCCESS = 'jelmore_analyzer_last_success_timestamp_seconds{analyzer="regression",job="jelmon-analyzer"}'


def cases(alert: Alert, leaf: Regression, made: Compilation, interval: float) -> list[Case]:
    """For an alert that is nothing but a regression, of a signal with a pipeline."""
    if "pipeline" not in made.known.labels[leaf.signal]:
        return []
    worse, steady = sign(leaf, made.known.directions), alert.duration_seconds + 2 * interval
    shape = f"x{round(steady / interval) + 2}"
    fresh = (_SUCCESS, f"0+{interval:g}x600")
    good = (worse * leaf.threshold * 1.01, worse * (leaf.lower_bound + 0.01), leaf.q_value / 2)
    verdicts = [
        (good, True),
        ((worse * leaf.threshold, *good[1:]), False),
        ((good[0], worse * leaf.lower_bound, good[2]), False),
        ((good[0], worse * (leaf.lower_bound - 0.01), good[2]), False),
        ((good[0], worse * (leaf.lower_bound + 0.001), good[2]), True),
        ((*good[:2], leaf.q_value), False),
        ((*good[:2], leaf.q_value * 2), False),
        ((*good[:2], leaf.q_value * 0.99), True),
    ]
    bounds = Case("every bound of the analyzer's verdict", [fresh])
    history = Case("every bound of the form without an analyzer")
    silent = Case("while an analyzer runs, only its verdict counts", [fresh])
    for place, (verdict, _) in enumerate(verdicts):
        bounds.series += _verdict(leaf, made, f"row-{place}", verdict, worse, shape)
    past = _pasts(leaf, worse)
    for place, values in enumerate(past):
        rows = _history(leaf, made, f"row-{place}", values, shape)
        history.series += rows
        silent.series += rows
    firing = f'group by (pipeline) (ALERTS{{rule_id="{alert.rule_id}",alertstate="firing",escalation_level=""}})'
    bounds.checks.append((firing, steady, _rows([fires for _, fires in verdicts])))
    history.checks.append((firing, steady, _rows([_is_worse(leaf, worse, values) for values in past])))
    silent.checks.append((firing, steady, []))
    return [bounds, history, silent, *_age(alert, leaf, made, interval, good, worse, firing)]


def _age(
    alert: Alert,
    leaf: Regression,
    made: Compilation,
    interval: float,
    good: tuple[float, float, float],
    worse: int,
    firing: str,
) -> list[Case]:
    """What an analyzer whose last success was long ago said does not count: the history of the signal does."""
    limit = made.known.settings.analyzer_stale_seconds
    if alert.duration_seconds + interval >= limit or limit % interval:
        return []
    found = []
    for success in (0.0, interval / 3):  # at an evaluation, so that the limit is met exactly, and between two
        stale = -(-(limit + success) // interval) * interval
        gone, fires = stale + alert.keep_firing_seconds, stale + alert.duration_seconds
        shape = f"x{round(max(gone, fires) / interval) + 4}"
        fresh = (_SUCCESS, f"{success:.12g}{shape}")
        case = Case(f"an old verdict does not count, of an analyzer that fell silent at {success:g} s", [fresh])
        case.series += _verdict(leaf, made, "row-0", good, worse, shape)
        case.checks = [(firing, gone - interval, _rows([True])), (firing, gone, [])]
        after = Case(f"history decides after an analyzer that fell silent at {success:g} s", [fresh])
        after.series += _history(leaf, made, "row-0", _pasts(leaf, worse)[0], shape)
        after.checks = [(firing, fires - interval, []), (firing, fires, _rows([True]))]
        found += [case, after]
    return found


Past = tuple[float, float, float]
"""Baseline, MAD and present median of a signal."""


def _pasts(leaf: Regression, worse: int) -> list[Past]:
    """Every bound of the form without an analyzer, on both sides of it and, where floats allow, met exactly."""
    level = max(100.0, 2 * leaf.floor)
    delta = level * leaf.threshold * 2
    spread = 10_000.0  # times the factor: a whole number
    far = float(round(spread * _MAD_FACTOR / (2 * leaf.threshold)))
    high = max(1.0, 2 * leaf.floor)
    found = [
        (level, delta / _MAD_FACTOR * 0.99, level + worse * delta),
        (level, delta / _MAD_FACTOR * 1.01, level + worse * delta),
        (far, spread, far + worse * spread * _MAD_FACTOR),
        (level, 0.0, level + worse * level * leaf.threshold),
        (0.0, 0.0, worse * high),  # a share of nothing is none
        (0.005, 0.0, 0.005 + worse * 0.005 * 2 * leaf.threshold if worse < 0 else high),
    ]
    if leaf.floor:
        found += [(leaf.floor / (1 + 2 * leaf.threshold), 0.0, leaf.floor * share) for share in (1.0, 1.01)]
    return found


def _is_worse(leaf: Regression, worse: int, past: Past) -> bool:
    baseline, mad, median = (float(number(value)) for value in past)  # as they are written
    change = worse * (median - baseline)
    return (
        baseline > 0
        and change / baseline > leaf.threshold
        and change > _MAD_FACTOR * mad
        and (not leaf.floor or median > leaf.floor)
    )


def _verdict(
    leaf: Regression, made: Compilation, row: str, verdict: tuple[float, float, float], worse: int, shape: str
) -> list[tuple[str, str]]:
    change, near, q_value = verdict
    stage = ',stage="a-stage"' if "stage" in made.known.labels[leaf.signal] else ""
    own = f'{{instance="a",job="jelmon-analyzer",pipeline="{row}",signal="{leaf.signal}"{stage}}}'
    end = "upper" if worse < 0 else "lower"
    return [
        (f"{made.known.records[leaf.signal]}{_labels(leaf, made, row)}", f"1{shape}"),
        (f"jelmore_regression_change_ratio{own}", f"{change:.12g}{shape}"),
        (f"jelmore_regression_change_{end}_ratio{own}", f"{near:.12g}{shape}"),
        (f"jelmore_regression_q_value{own}", f"{q_value:.12g}{shape}"),
    ]


def _history(
    leaf: Regression, made: Compilation, row: str, values: tuple[float, float, float], shape: str
) -> list[tuple[str, str]]:
    record, labels = made.known.records[leaf.signal], _labels(leaf, made, row)
    names = ("baseline", "mad", "median5m")
    return [(f"{record}:{name}{labels}", f"{value:.12g}{shape}") for name, value in zip(names, values, strict=True)]


def _labels(leaf: Regression, made: Compilation, row: str) -> str:
    names = sorted(made.known.labels[leaf.signal])
    return "{" + ",".join(f'{name}="{row if name == "pipeline" else f"a-{name}"}"' for name in names) + "}"


def _rows(fires: list[bool]) -> list[str]:
    return [f'{{pipeline="row-{place}"}}' for place, one in enumerate(fires) if one]
