"""Signals: their expressions are sound and read metrics that exist, and no two are the same."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from jelmon_generators.checks import LABEL, REPEATED, SHAPE
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.signals import Signal
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.analysis import Analysis, analyse
from jelmon_generators.promql.faults import Limits
from jelmon_generators.promql.series import TARGET_LABELS, Series
from jelmon_generators.promql.series_text import is_series
from jelmon_generators.targets import Target


def analysed(bundle: Bundle, target: Target) -> dict[str, Analysis]:
    """Check every signal's expression; return the analyses. Signals read metrics, not each other."""
    settings = bundle.settings
    limits = Limits(
        settings.scrape_interval_seconds, settings.retention_seconds, target, tolerant=settings.unknown == "warn"
    )
    known = bundle.series
    analyses: dict[str, Analysis] = {}
    seen: dict[str, Signal] = {}
    recorded = dict(known)  # what the counts of an objective may read as well
    counted_by = frozenset().union(*(slo.by for slo in bundle.slos.values()))
    for signal in bundle.signals.values():
        if signal.reads is not None:
            labels, names = signal.reads
            analyses[signal.name] = Analysis(labels=labels, names=names)
            continue
        # two objectives may count the same events: they differ in what is bad, in the ratio or in the period
        if not signal.written and (twin := seen.setdefault(" ".join(signal.expr.split()), signal)) is not signal:
            REPEATED.report(
                signal.fields.place,
                f"same expression as signal {twin.name!r}",
                hint=f"use that one: {twin.fields.place}",
            )
        readable = recorded if signal.written else known
        analysis = analyses[signal.name] = analyse(signal.judged or signal.expr, readable, limits)
        labels = (analysis.labels or frozenset()) | TARGET_LABELS
        recorded[signal.record] = Series("recorded", labels | counted_by if analysis.faults else labels)
        for fault in analysis.faults:
            plain = signal.fields.has("expr")  # otherwise the PromQL was generated and is not in the file
            fault.check.report(underlined(signal.place, fault.needle if plain else ""), fault.message, hint=fault.hint)
        if not any(not fault.check.excusable for fault in analysis.faults):
            _check(signal, analysis)
    return analyses


def warnings(bundle: Bundle, analyses: Mapping[str, Analysis]) -> Iterator[str]:
    """Yield a line for each metric that nobody declares, where that is tolerated."""
    for name, signal in bundle.signals.items():
        for fault in analyses[name].unknown:
            hint = f" ({fault.hint})" if fault.hint else ""
            yield f"{signal.place}: {fault.message} is used without any check{hint}"


def bounded(bundle: Bundle, analyses: Mapping[str, Analysis]) -> Bundle:
    """Return the bundle with the range of every signal that is a percentile limited to what its buckets can tell."""
    narrowed = {
        name: replace(signal, high=analyses[name].highest)
        for name, signal in bundle.signals.items()
        if analyses[name].highest < (math.inf if signal.high is None else signal.high)
    }
    return replace(bundle, signals={**bundle.signals, **narrowed}) if narrowed else bundle


def _check(signal: Signal, analysis: Analysis) -> None:
    place = signal.place
    if analysis.labels is None:
        SHAPE.report(place, "the expression is a number, not a vector", hint="wrap it: vector(...)")
        return
    if analysis.names and "job" not in analysis.labels and signal.job is None:
        LABEL.report(
            place,
            "the label 'job' is lost",
            hint="keep it (sum by (job, ...)) so that dashboards can tell installations apart",
        )
    for example in signal.examples:
        for series, _ in example.series:
            if not is_series(series):
                SHAPE.report(example.place, f"{series!r} is not a series", hint='write name{label="value"}')
    if analysis.compares:
        SHAPE.report(place, "a signal has no threshold", hint="compare it in an alert: operator and threshold")
