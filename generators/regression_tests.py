"""Unit tests of the ``regression`` operator: every bound of the analyzer's verdict, its age, the form without it."""

from jelmon.generators.compiler import Compilation
from jelmon.generators.definitions import Alert, Regression
from jelmon.generators.promtool import Case
from jelmon.generators.truth import sign

_MAD_FACTOR = 3 * 1.4826
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
    level = max(100.0, 2 * leaf.floor)
    delta = level * leaf.threshold * 2
    spreads = [(delta / _MAD_FACTOR * 0.99, True), (delta / _MAD_FACTOR * 1.01, False)]
    for place, (mad, _) in enumerate(spreads):
        rows = _history(leaf, made, f"row-{place}", (level, mad, level + worse * delta), shape)
        history.series += rows
        silent.series += rows
    firing = f'group by (pipeline) (ALERTS{{rule_id="{alert.rule_id}",alertstate="firing",escalation_level=""}})'
    bounds.checks.append((firing, steady, _rows([fires for _, fires in verdicts])))
    history.checks.append((firing, steady, _rows([fires for _, fires in spreads])))
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
    """The verdict of an analyzer whose last success was at 0 counts until it is too old."""
    limit = made.known.settings.analyzer_stale_seconds
    if alert.duration_seconds + interval >= limit or limit % interval:
        return []
    last = limit + alert.keep_firing_seconds
    shape = f"x{round(last / interval) + 4}"
    case = Case("an old verdict does not count", [(_SUCCESS, f"0{shape}")])
    case.series += _verdict(leaf, made, "row-0", good, worse, shape)
    case.checks = [(firing, last - interval, _rows([True])), (firing, last, [])]
    return [case]


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
