"""The signal about signals: whether those that are judged by their usual level have one.

An alert with ``regression`` is silent while there is no baseline to compare with, which looks like all being well.
"""

from collections.abc import Mapping

from jelmon.catalogue import REGRESSION_BASELINE_READY
from jelmon_generators.compile import regression
from jelmon_generators.compile.rules import recorded_labels
from jelmon_generators.model.definitions import Bundle, Direction, Regression, Signal, simple_conditions
from jelmon_generators.promql.analysis import Analysis

READY = "regression_baseline_ready"
_GAP = "1h"  # a signal that was there in the last hour is expected to be judged


def expand(bundle: Bundle, analyses: dict[str, Analysis]) -> None:
    """Add the signal, if any alert compares with a usual level and no signal of this name is written."""
    judged: dict[str, Regression] = {}
    for alert in bundle.alerts.values():
        for condition in (alert.condition, *alert.unless):
            for leaf in simple_conditions(condition):
                if isinstance(leaf, Regression) and leaf.signal in bundle.signals:
                    judged.setdefault(leaf.signal, leaf)
    if not judged or READY in bundle.signals:
        return
    keys = {name: _keys(bundle.signals[name], analyses) for name in judged}
    labels = frozenset({"signal"}) | frozenset.intersection(*keys.values())
    bundle.signals[READY] = Signal(
        name=READY,
        description="Whether there is a usual level to compare the signal with, by the analyzer or its own history.",
        unit="boolean",
        direction=Direction.DOWN,
        expr="\nor\n".join(_ready(bundle, name, keys[name]) for name in judged),
        low=0.0,
        high=1.0,
        job="jelmon-analyzer",
        source="rules/",
        reads=(labels, (REGRESSION_BASELINE_READY.name,)),
        fields=next(iter(judged.values())).fields,
    )
    analyses[READY] = Analysis(labels=labels, names={REGRESSION_BASELINE_READY.name: None})


def _keys(signal: Signal, analyses: Mapping[str, Analysis]) -> frozenset[str]:
    return recorded_labels(signal, analyses[signal.name]) & {"pipeline", "stage"}


def _ready(bundle: Bundle, name: str, keys: frozenset[str]) -> str:
    record, fresh = bundle.signals[name].record, regression.fresh(bundle.settings)
    return (
        f"label_replace(\n  max by ({', '.join(sorted(keys))}) (\n"
        f'    {REGRESSION_BASELINE_READY.name}{{signal="{name}"}} and on () ({fresh})\n'
        f"    or {record}:baseline * 0 + 1 unless on () ({fresh})\n"
        f'    or count_over_time({record}[{_GAP}]) * 0\n  ),\n  "signal", "{name}", "", ""\n)'
    )
