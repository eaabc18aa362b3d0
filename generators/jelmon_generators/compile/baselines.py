"""The signal about signals: whether those that are compared with their usual level have a baseline.

A ``regression`` alert without a baseline is silent, which looks exactly like everything being fine.
"""

from collections.abc import Mapping
from dataclasses import replace

from jelmon.catalogue import REGRESSION_BASELINE_READY
from jelmon_generators.compile.rules import recorded_labels
from jelmon_generators.model.conditions.regression import Regression, fresh_verdicts
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.signals import Direction, Signal
from jelmon_generators.promql.analysis import Analysis

READY = "regression_baseline_ready"
_GAP = "1h"  # a signal that had a series in the last hour is expected to be judged


def expanded(bundle: Bundle, analyses: Mapping[str, Analysis]) -> tuple[Bundle, Mapping[str, Analysis]]:
    """Return both with the signal added, if any alert needs a baseline and no signal has its name."""
    judged: dict[str, Regression] = {}
    for alert in bundle.alerts.values():
        for leaf in alert.leaves:
            if isinstance(leaf, Regression) and leaf.signal in bundle.signals:
                judged.setdefault(leaf.signal, leaf)
    if not judged or READY in bundle.signals:
        return bundle, analyses
    keys = {name: _keys(bundle.signals[name], analyses) for name in judged}
    labels = frozenset({"signal"}) | frozenset.intersection(*keys.values())
    signal = Signal(
        name=READY,
        description="Whether the signal has a baseline, from the analyzer or from its own history.",
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
    analysis = Analysis(labels=labels, names=(REGRESSION_BASELINE_READY.name,))
    return replace(bundle, signals={**bundle.signals, READY: signal}), {**analyses, READY: analysis}


def _keys(signal: Signal, analyses: Mapping[str, Analysis]) -> frozenset[str]:
    return recorded_labels(signal, analyses[signal.name]) & {"pipeline", "stage"}


def _ready(bundle: Bundle, name: str, keys: frozenset[str]) -> str:
    record, fresh = bundle.signals[name].record, fresh_verdicts(bundle.settings)
    return (
        f"label_replace(\n  max by ({', '.join(sorted(keys))}) (\n"
        f'    {REGRESSION_BASELINE_READY.name}{{signal="{name}"}} and on () ({fresh})\n'
        f"    or {record}:baseline * 0 + 1 unless on () ({fresh})\n"
        f'    or count_over_time({record}[{_GAP}]) * 0\n  ),\n  "signal", "{name}", "", ""\n)'
    )
