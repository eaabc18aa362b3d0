"""Objectives: they count events, and their budget can burn at a rate that is worth an alert."""

import re
from collections.abc import Mapping

from jelmon.config.strict_yaml import Place
from jelmon_generators.checks import OBJECTIVE
from jelmon_generators.compile.slos import pages, windows_of
from jelmon_generators.model.definitions import Bundle, Slo
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.expressions import duration
from jelmon_generators.promql.series import Series

_SHORTEST_SECONDS = 3 * 86400.0
_ONE_BUCKET = re.compile(r"""[{,]\s*le\s*=\s*["'`]""")


def check(bundle: Bundle) -> None:
    """Report objectives that no alert could watch, or that count something else than events."""
    for slo in bundle.slos.values():
        if slo.period_seconds < _SHORTEST_SECONDS:
            OBJECTIVE.report(
                slo.fields.at("period"),
                f"a period of {duration(slo.period_seconds)} is too short to tell in time how fast its budget burns",
                hint="at least 3d; for less write an alert on a signal with the share of bad events",
            )
        elif not windows_of(slo):
            OBJECTIVE.report(
                slo.fields.at("objective"),
                "even a complete failure would not raise an alert: it spends this budget too slowly",
                hint="a higher objective, or a shorter period",
            )
        elif slo.escalation and not pages(slo):
            OBJECTIVE.report(
                slo.fields.at("escalation"),
                "nothing escalates: even a complete failure does not burn this budget fast enough to page",
                hint="a higher objective; or leave out escalation, the alert for slow burning remains",
            )
        if slo.minimum_events < 0:
            OBJECTIVE.report(slo.fields.at("minimum_events"), "minimum_events is negative", hint="0 switches it off")
        if slo.condition is None:
            _check_counted(slo, "valid", slo.valid, bundle.series)
            _check_counted(slo, "bad", slo.bad, bundle.series)


def _check_counted(slo: Slo, field: str, text: str, known: Mapping[str, Series]) -> None:
    series, _, matchers = text.partition("{")
    metric = known.get(series)
    if metric is None or not metric.family:
        return
    place: Place = underlined(slo.fields.at(field), series)
    if series.endswith("_sum"):
        OBJECTIVE.report(
            place, f"{series} adds up what was measured, it does not count events", hint=f"count {metric.family}_count"
        )
    elif series.endswith("_bucket") and not _ONE_BUCKET.search("{" + matchers):
        OBJECTIVE.report(
            place,
            f"{series} counts an event in every bucket that holds it",
            hint=(f'select one, such as le="{float(metric.buckets[-1])}", or ' if metric.buckets else "")
            + f"count {metric.family}_count",
        )
