"""The signal about signals: whether those that are compared with their usual level have a baseline.

A ``regression`` alert without a baseline is silent, which looks exactly like everything being fine.
"""

from collections.abc import Mapping
from dataclasses import replace

from jelmon.catalogue import REGRESSION_BASELINE_READY
from jelmon_generators.compile.placement import placement
from jelmon_generators.compile.rules import recorded_labels
from jelmon_generators.model.conditions.regression import Regression, fresh_verdicts, judged_by
from jelmon_generators.model.definitions import Alert, Bundle
from jelmon_generators.model.signals import Direction, Signal
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, duration

READY = "regression_baseline_ready"
_EVALUATIONS_BRIDGED = 4
_GAP = "1h"  # a signal that had a series in the last hour is expected to be judged


def expanded(bundle: Bundle, analyses: Mapping[str, Analysis]) -> tuple[Bundle, Mapping[str, Analysis]]:
    """Return both with the signal added, if any alert needs a baseline and no signal has its name."""
    judged: dict[str, Regression] = {}
    judges: dict[str, Alert] = {}  # the first group that judges a signal has the baseline
    for alert in bundle.alerts.values():
        for leaf in alert.condition.leaves:
            if isinstance(leaf, Regression) and leaf.signal in bundle.signals and leaf.signal not in judged:
                judged[leaf.signal], judges[leaf.signal] = leaf, alert
    if not judged or READY in bundle.signals:
        return bundle, analyses
    placed = placement(bundle)
    records = {name: placed.record(name, alert, bundle) for name, alert in judges.items()}
    keys = {name: _keys(bundle.signals[name], analyses) for name in judged}
    labels = frozenset({"signal"}) | frozenset.intersection(*keys.values())
    signal = Signal(
        name=READY,
        description="Whether the signal has a baseline, from the analyzer or from its own history.",
        unit="boolean",
        direction=Direction.DOWN,
        expr="\nor\n".join(_ready(bundle, name, keys[name], records[name]) for name in judged),
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
    return recorded_labels(signal, analyses[signal.name]) - NOT_FOR_MATCHING


def _ready(bundle: Bundle, name: str, keys: frozenset[str], record: str) -> str:
    fresh, by = fresh_verdicts(bundle.settings), f"max by ({', '.join(sorted(keys))})"
    window = duration(_EVALUATIONS_BRIDGED * bundle.settings.evaluation_interval_seconds)
    verdict = f'{REGRESSION_BASELINE_READY.name}{{signal="{name}"}} and on () ({fresh})'
    history = f"last_over_time({record}:baseline[{window}]) * 0 + 1"
    arms = [f"{by} ({verdict})", f"{by} ({history})"] if judged_by(keys) else [f"{by} ({history})"]
    arms.append(f"{by} (count_over_time({record}[{_GAP}]) * 0)")
    joined = "\n  or\n  ".join(arms)
    return f'label_replace(\n  {joined},\n  "signal", "{name}", "", ""\n)'
