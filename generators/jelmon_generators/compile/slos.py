"""Service level objectives to signals and alerts, which are then treated like any others.

Good and bad are counted every minute (`slo_counts`), and windows add up the counts: a busy hour weighs more than a
quiet one, and an idle one weighs nothing instead of turning everything into NaN. An alert requires that a short and a
long window burn (multi-window, multi-burn-rate; Google, The Site Reliability Workbook, chapter 5) and that there are
enough events to judge by.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.checks import DUPLICATE, REFERENCE
from jelmon_generators.compile.slo_counts import Counts
from jelmon_generators.model.conditions.combination import AllOf, AnyOf
from jelmon_generators.model.conditions.comparison import Compare, Operator
from jelmon_generators.model.dashboards import OBJECTIVES_DASHBOARD, objective_panels
from jelmon_generators.model.definitions import Alert, Bundle, Slo
from jelmon_generators.model.settings import Settings
from jelmon_generators.model.signals import Direction, Signal
from jelmon_generators.promql.expressions import duration
from jelmon_generators.promql.series import Series


class Window(NamedTuple):
    """A pair of windows, and the share of the budget that may be spent within the long one before an alert fires."""

    short: float
    long: float
    spent: Decimal


PAGE = (Window(300, 3600, Decimal("0.02")), Window(1800, 6 * 3600, Decimal("0.05")))
TICKET = (Window(2 * 3600, 86400, Decimal("0.1")), Window(6 * 3600, 3 * 86400, Decimal("0.1")))


@dataclass(frozen=True, slots=True)
class Recorded:
    """The names of one objective's signals."""

    slo: str

    def ratio(self, seconds: float) -> str:
        return f"slo_{self.slo}_error_ratio_{duration(seconds)}"

    def events(self, seconds: float) -> str:
        return f"slo_{self.slo}_events_{duration(seconds)}"

    @property
    def series(self) -> str:
        return f"slo_{self.slo}_series"

    @property
    def left(self) -> str:
        return f"slo_{self.slo}_budget_left_ratio"

    @property
    def exhausted_in(self) -> str:
        return f"slo_{self.slo}_budget_exhausted_in_seconds"


def budget(slo: Slo) -> Decimal:
    """Return the share of events that may be bad, without floating-point noise."""
    return _budget(slo.objective)


def _budget(objective: float) -> Decimal:
    return 1 - Decimal(repr(objective))


@lru_cache(maxsize=256)
def _burn_rate(period_seconds: float, window: Window) -> Decimal:
    """Return how many times as fast as the objective allows the long window spends ``window.spent`` of the budget."""
    return window.spent * Decimal(round(period_seconds)) / Decimal(round(window.long))


def burn_threshold(slo: Slo, window: Window) -> float:
    """Return the ratio of bad events above which a pair burns: never less than the objective allows for good."""
    return _burn_threshold(slo.objective, slo.period_seconds, window)


@lru_cache(maxsize=256)
def _burn_threshold(objective: float, period_seconds: float, window: Window) -> float:
    return float(max(_burn_rate(period_seconds, window), Decimal(1)) * _budget(objective))


def windows_of(slo: Slo) -> tuple[Window, ...]:
    """Return the usable pairs: the long window is shorter than the period, and the threshold below 1.

    In a short period some pairs spend their share at a rate that the objective allows for good. Those pairs do not
    page; for a ticket the rate is raised to the one that just spends the budget.
    """
    return _windows_of(slo.objective, slo.period_seconds)


@lru_cache(maxsize=256)  # most objectives have one of few periods
def _windows_of(objective: float, period_seconds: float) -> tuple[Window, ...]:
    usable = (window for window in (*PAGE, *TICKET) if window.long < period_seconds)
    return tuple(
        window
        for window in usable
        if _burn_threshold(objective, period_seconds, window) < 1
        and (window in TICKET or _burn_rate(period_seconds, window) > 1)
    )


def pages(slo: Slo) -> bool:
    """Return whether the budget can burn fast enough to page."""
    return any(window in PAGE for window in windows_of(slo))


def expanded(bundle: Bundle) -> Bundle:
    """Return the bundle with the signals and alerts of every objective added."""
    signals, alerts = dict(bundle.signals), dict(bundle.alerts)
    for slo in bundle.slos.values():
        if slo.condition and slo.condition.signal not in signals:
            REFERENCE.report(
                slo.fields.at("metric_path"),
                f"unknown signal {slo.condition.signal!r}",
                hint=did_you_mean(slo.condition.signal, signals),
            )
            continue
        origin = f"generated from the objective {slo.name!r}, {slo.fields.place}"
        for signal in _signals(slo, bundle.series):
            if (written := signals.setdefault(signal.name, signal)) is not signal:
                DUPLICATE.report(written.fields.place, f"signal {signal.name!r} is defined twice", hint=origin)
        for alert in _alerts(slo, bundle.settings):
            if (defined := alerts.setdefault(alert.rule_id, alert)) is not alert:
                DUPLICATE.report(
                    defined.fields.at("rule_id"), f"rule_id {alert.rule_id!r} is defined twice", hint=origin
                )
    return replace(bundle, signals=signals, alerts=alerts)


def _signals(slo: Slo, series: Mapping[str, Series]) -> Iterator[Signal]:
    names = Recorded(slo.name)
    labels = frozenset({"job", *slo.by})
    source = slo.fields.place.source.path

    metric = slo.condition.signal if slo.condition else slo.valid.split("{")[0]

    def signal(name: str, what: str, expr: str, unit: str = "ratio", written: str = "", judged: str = "") -> Signal:
        return Signal(
            name=name,
            description=what,
            unit=unit,
            direction=Direction.UP,
            expr=expr,
            low=None,
            group=f"slo_{slo.name}",
            source=source,
            written=written,
            judged=judged,
            reads=None if written else (labels, (metric,)),
            fields=slo.fields,
        )

    counts = Counts(slo)
    valid, bad = counts.valid_name, counts.bad_name
    noun = counts.noun.capitalize()
    yield signal(valid, f"{noun}, a count.", counts.valid, counts.noun, counts.valid_field, counts.valid_judged)
    yield signal(bad, f"Bad {counts.noun}, a count.", counts.bad, counts.noun, counts.bad_field, counts.bad_judged)
    periods = {seconds for window in windows_of(slo) for seconds in (window.short, window.long)}
    for seconds in sorted({slo.period_seconds, *periods}):
        over = duration(seconds)
        total = f"sum_over_time(jelmore:{valid}[{over}])"
        yield signal(
            names.ratio(seconds),
            f"Share of bad {counts.noun} in {over}.",
            f"sum_over_time(jelmore:{bad}[{over}]) / ({total} > 0)\nor {total} * 0",
        )
    for seconds in guarded(slo):
        yield signal(
            names.events(seconds),
            f"{noun} in {duration(seconds)}.",
            f"sum_over_time(jelmore:{valid}[{duration(seconds)}])"
            + (f" / {counts.each_counted}" if counts.each_counted > 1 else ""),
            unit=counts.noun,
        )
    if slo.absent_seconds:
        yield replace(
            signal(
                names.series,
                "Series that the objective counts, while their source can be scraped.",
                f"count by (job) (max without (instance, pod) ({slo.valid}))\n"
                f'or max by (job) (up{{job="{_source(slo, series)}"}} == 1) * 0',
                unit="series",
            ),
            reads=(frozenset({"job"}), (metric, "up")),
        )
    allowed = format(budget(slo), "f")
    period = f"jelmore:{names.ratio(slo.period_seconds)}"
    yield signal(names.left, "Share of the error budget that is left.", f"1 - {period} / {allowed}")
    recent = names.ratio(windows_of(slo)[0].long) if windows_of(slo) else names.ratio(slo.period_seconds)
    yield signal(
        names.exhausted_in,
        "Time until the budget is spent, at the current rate.",
        f"(jelmore:{names.left} > 0) * {allowed} * {slo.period_seconds:.0f} / (jelmore:{recent} > 0)",
        unit="seconds",
    )


def _source(slo: Slo, series: Mapping[str, Series]) -> str:
    """Return the job that exposes what is counted; empty when it is not known."""
    metric = series.get(slo.valid.split("{")[0])
    return (metric.job if metric else "") or ""


def guarded(slo: Slo) -> list[float]:
    """Return the windows whose events are counted: the shortest long one of each kind of alert."""
    usable = windows_of(slo)
    firsts = [next((window.long for window in kind if window in usable), None) for kind in (PAGE, TICKET)]
    return [seconds for seconds in firsts if seconds is not None]


def _alerts(slo: Slo, settings: Settings) -> Iterator[Alert]:
    kinds = (
        ("budget_burn_fast", PAGE, "critical", slo.escalation, "fast", "within days"),
        ("budget_burn_slow", TICKET, "warning", None, "slowly but steadily", "before the period ends"),
    )
    if slo.absent_seconds:
        yield _no_data(slo, settings)
    fast = ((f"{slo.name}_budget_burn_fast", slo.fields.place),) if pages(slo) else ()
    for suffix, windows, severity, escalation, how, when in kinds:
        usable = [window for window in windows if window in windows_of(slo)]
        if not usable:
            continue
        pairs = tuple(_burning(slo, window, usable[0].long) for window in usable)
        condition = pairs[0] if len(pairs) == 1 else AnyOf(parts=pairs, fields=slo.fields)
        where = "".join(f" of {{{{ $labels.{label} }}}}" for label in slo.by)
        yield Alert(
            rule_id=f"{slo.name}_{suffix}",
            summary=f"{slo.title}{where}: the error budget burns {how}",
            description=(
                f"{{{{ $value | humanizePercentage }}}} of the {Counts(slo).noun} are bad;"
                f" the objective is {slo.objective * 100:g} % good over {duration(slo.period_seconds)}."
                f" At this rate the budget is spent {when}."
            ),
            condition=condition,
            unless=(),
            duration_seconds=60.0,
            keep_firing_seconds=300.0,
            severity=severity,
            team=slo.team or settings.team,
            auto_actions=(),
            channels=(),
            escalation=escalation,
            inhibited_by=fast if windows is TICKET else (),
            limit=None,
            dashboard=slo.dashboard or OBJECTIVES_DASHBOARD,
            panel=_panel(slo),
            objectives=(slo.name,),
            source=slo.fields.place.source.path,
            fields=slo.fields,
        )


def _no_data(slo: Slo, settings: Settings) -> Alert:
    """Return the alert for missing counters: without them an objective is met forever, whatever happens."""
    return Alert(
        rule_id=f"{slo.name}_no_data",
        summary=f"{slo.title}: nothing is counted",
        description=(
            "{{ $labels.job }} is scraped but exposes none of the series that the objective counts, so it cannot fail."
        ),
        condition=Compare(signal=Recorded(slo.name).series, operator=Operator.EQ, threshold=0.0, fields=slo.fields),
        unless=(),
        duration_seconds=slo.absent_seconds,
        keep_firing_seconds=0.0,
        severity="warning",
        team=slo.team or settings.team,
        auto_actions=(),
        channels=(),
        escalation=None,
        inhibited_by=(),
        limit=None,
        dashboard=slo.dashboard or OBJECTIVES_DASHBOARD,
        panel=_panel(slo, counted=True),
        objectives=(slo.name,),
        source=slo.fields.place.source.path,
        fields=slo.fields,
    )


def _panel(slo: Slo, *, counted: bool = False) -> str | None:
    """Return the panel of one of the objective's alerts; None if it names a dashboard of its own."""
    _, _, burn, _, count = objective_panels(slo.name)
    return (count if counted else burn).title if slo.dashboard in (None, OBJECTIVES_DASHBOARD) else None


def _burning(slo: Slo, window: Window, guard: float) -> AllOf:
    names, threshold = Recorded(slo.name), burn_threshold(slo, window)

    def above(signal: str, value: float, operator: Operator = Operator.GT) -> Compare:
        return Compare(signal=signal, operator=operator, threshold=value, fields=slo.fields)

    parts = (
        above(names.ratio(window.short), threshold),
        above(names.ratio(window.long), threshold),
        above(names.events(guard), slo.minimum_events, Operator.GE),
    )
    return AllOf(parts=parts, fields=slo.fields)
