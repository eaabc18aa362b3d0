"""What the dashboards need to know about the objectives."""

from jelmon_generators.compile.slo_counts import Counts
from jelmon_generators.compile.slos import PAGE, Recorded, burn_threshold, windows_of
from jelmon_generators.model.definitions import Bundle, Slo
from jelmon_generators.model.objectives import Burn, Objective
from jelmon_generators.promql.expressions import duration


def objectives_of(bundle: Bundle) -> tuple[Objective, ...]:
    """Return the objectives in the order written."""
    return tuple(_objective(slo) for slo in bundle.slos.values())


def _objective(slo: Slo) -> Objective:
    names = Recorded(slo.name)
    return Objective(
        name=slo.name,
        title=slo.title,
        goal=slo.objective,
        period=duration(slo.period_seconds),
        by=slo.by,
        counted=Counts(slo).valid_name,
        bad=names.ratio(slo.period_seconds),
        left=names.left,
        exhausted_in=names.exhausted_in,
        series=names.series if slo.absent_seconds else "",
        burns=tuple(
            Burn(
                window=duration(window.long),
                short=names.ratio(window.short),
                long=names.ratio(window.long),
                threshold=burn_threshold(slo, window),
                severity="critical" if window in PAGE else "warning",
            )
            for window in windows_of(slo)
        ),
    )
