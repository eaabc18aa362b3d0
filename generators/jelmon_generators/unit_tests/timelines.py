"""Alerts over time: when they fire, escalate, survive a gap, resolve, and what a flap does to the escalation."""

from dataclasses import replace

from jelmon_generators.compile.rules import CARRIED_SECONDS, FIRING_SINCE
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.model.truth import holds
from jelmon_generators.unit_tests.subject import Row, Subject

_QUIET_STEPS = 4  # of silence at first
_GAP_STEPS = 4  # missed scrapes, fewer than Prometheus looks back
_HOLDS_SECONDS = 180.0  # how long a flapping alert fires before it pauses
_PAUSE_SECONDS = 540.0


def timeline(subject: Subject, row: Row) -> Case:
    """Return a case: not before its time, at its time, each level at its minute, through a gap, and then resolved."""
    if subject.is_constant:
        fires = subject.round_up(subject.alert.duration_seconds)
        case = Case("fires from the start", [], [(subject.firing("alertname"), fires, [subject.name_sample])])
        case.checks.append(_all_labels(subject, subject.present, fires))
        return case
    step, levels = subject.interval, subject.levels
    start = _QUIET_STEPS * step
    fires = start + subject.round_up(subject.alert.duration_seconds)
    hold = round((fires - start + (levels[-1] if levels else 0)) / step) + 20
    end = start + (hold + _GAP_STEPS) * step
    case = Case("fires exactly on time, through a gap, and resolves", _timeline_series(subject, row, hold))
    label, sample = _sample(subject, row)
    by = (label, "escalation_level")

    def check(seconds: float, count: int | None) -> None:
        samples = [] if count is None else [_level(sample, place) for place in range(count + 1)]
        case.checks.append((subject.firing(*by, every_level=True), seconds, samples))

    check(fires - step, None)
    check(fires, 0)
    if subject.alert.condition.always_same_labels(subject.known):
        case.checks.append(_all_labels(subject, row, fires))
        if levels:
            case.checks.append(_all_labels(subject, row, subject.round_up(fires + levels[0]), level="1"))
    for place, level in enumerate(levels):
        check(subject.round_up(fires + level) - step, place)
        check(subject.round_up(fires + level), place + 1)
    if levels:  # a level has no clock of its own
        clock = f'group by (escalation_level) ({FIRING_SINCE}{{rule_id="{subject.alert.rule_id}"}})'
        case.checks.append((clock, subject.round_up(fires + levels[-1]) + 2 * step, ["{}"]))
    quiet = _quiet_row(subject, row)
    gone = end + (0 if quiet else subject.lingers(row)) + subject.round_up(subject.alert.keep_firing_seconds)
    check(gone - step, len(levels))
    check(gone, None)
    return case


def _timeline_series(subject: Subject, row: Row, hold: int) -> list[tuple[str, str]]:
    false = _quiet_row(subject, row)
    bridged = round(subject.lingers(row) / subject.interval)  # missed scrapes that the condition bridges
    missed = bridged if bridged > 1 else _GAP_STEPS
    gauges = tuple(f"{subject.known.records[leaf.signal]}{{" for leaf in subject.alert.leaves if leaf.keeps_labels)
    quiet = dict(subject.series([replace(false, labels=row.labels)], "")) if false else {}
    series_values: list[tuple[str, str]] = []
    for series, values in subject.series([row], ""):
        if values.startswith("0+"):
            series_values.append((series, values))
            continue
        before = quiet.get(series)
        first = f"{before}x{_QUIET_STEPS - 1}" if before is not None else f"_x{_QUIET_STEPS}"
        last = f"{before}x40" if before is not None else "stale _x40"
        gap = f"stale _x{missed - 1}" if bridged > 1 and series.startswith(gauges) else f"_x{missed}"
        middle = f"{values}x{hold + _GAP_STEPS - missed - 9 - 1} {gap} {values}x8"
        series_values.append((series, f"{first} {middle} {last}"))
    if not series_values:  # absence: the input exists at first, and comes back
        for series, values in subject.series([subject.present], ""):
            absent = f"stale _x{hold + _GAP_STEPS - 1}"
            series_values.append((series, f"{values}x{_QUIET_STEPS - 1} {absent} {values}x40"))
    return series_values


def firing_row(subject: Subject) -> Row | None:
    """Return a row that fires, if possible one that a change of values ends: an absence holds when series disappear."""
    rows = [row for row in subject.rows if row.fires]
    return next((row for row in rows if _quiet_row(subject, row)), next(iter(rows), None))


def _quiet_row(subject: Subject, row: Row) -> Row | None:
    """Return a row in which the same series exist and the alert does not fire."""
    return next((other for other in subject.rows if not other.fires and other.missing == row.missing), None)


def _all_labels(subject: Subject, row: Row, seconds: float, *, level: str = "") -> tuple[str, float, list[str]]:
    """Return a check of every label of the alert, as routes and dashboards see them."""
    alert = subject.alert
    labels = {"alertname": alert.name, "alertstate": "firing", **subject.compiled.rules[0].labels}
    input_labels: dict[str, str] = {}
    for signal in reversed(alert.signals):  # the first decides
        input_labels |= subject.labels_of(signal, row.labels)
    labels |= {name: input_labels[name] for name in subject.compiled.expression.labels if name in input_labels}
    labels |= {"escalation_level": level} if level else {}
    expression = f'ALERTS{{alertname="{alert.name}",rule_id="{alert.rule_id}",escalation_level="{level}"}}'
    return expression, seconds, [selector("ALERTS", labels)]


def disappearance(subject: Subject, row: Row) -> list[Case]:
    """Return a case: when its series disappear, the alert lasts as long as missed scrapes are bridged."""
    if subject.row_label is None or not _quiet_row(subject, row) or not subject.lingers(row):
        return []  # an absence among the conditions holds when series disappear
    step, alert = subject.interval, subject.alert
    shown = round(subject.round_up(alert.duration_seconds) / step) + 2
    ends = shown * step + subject.lingers(row)
    gone = ends + subject.round_up(alert.keep_firing_seconds)
    case = Case("lasts through missed scrapes when its series disappear, and no longer")
    for series, values in subject.series([row], ""):
        after = "" if values.startswith("0+") else f"x{shown - 1} stale _x40"
        case.series.append((series, f"{values}{after}"))
    label, sample = _sample(subject, row)
    case.checks = [(subject.firing(label), gone - step, [sample]), (subject.firing(label), gone, [])]
    if subject.levels:
        case.checks += [(subject.value(label), ends - step, [sample]), (subject.value(label), ends, [])]
    return [case]


def remembered(subject: Subject, row: Row) -> list[Case]:
    """Return a case: an exception whose series disappear is remembered for as long as the condition may last alone."""
    alert, step = subject.alert, subject.interval
    about = {leaf.key for leaf in alert.condition.leaves}
    excepted = [leaf for part in alert.unless for leaf in part.leaves if leaf.key not in about]
    known = subject.known.for_exceptions(leaf.signal for leaf in alert.condition.leaves)
    quiet = _excepted_row(subject, row, about)
    seconds = {known.remembered_seconds(leaf.signal) for leaf in excepted}
    if quiet is None or len(seconds) != 1 or subject.row_label is None:
        return []
    if not holds(alert, {**quiet.values, **{leaf.key: None for leaf in excepted}}, subject.directions):
        return []
    shown = 4
    seen = (shown - 1) * step + seconds.pop() // step * step  # the last evaluation that remembers it
    fires = seen + step + subject.round_up(alert.duration_seconds)
    records = tuple(f"{subject.known.records[leaf.signal]}{{" for leaf in excepted)
    case = Case("an exception is remembered while its series are missing, and no longer")
    for series, values in subject.series([replace(quiet, labels=row.labels)], ""):
        until = f"x{shown - 1} stale _x4" if series.startswith(records) else f"x{round(fires / step) + 2}"
        case.series.append((series, values if values.startswith("0+") else f"{values}{until}"))
    label, sample = _sample(subject, row)
    case.checks = [(subject.firing(label), fires - step, []), (subject.firing(label), fires, [sample])]
    return [case]


def _excepted_row(subject: Subject, row: Row, about: set[tuple[str, str]]) -> Row | None:
    """Return a row that differs from this one only in its exceptions, because of which it does not fire."""
    return next(
        (
            other
            for other in subject.rows
            if not other.fires and not other.missing and all(other.values[key] == row.values[key] for key in about)
        ),
        None,
    )


def flap(subject: Subject, row: Row) -> Case:
    """Return a case: a pause of up to ten minutes keeps the clock of the escalation."""
    step, alert, levels = subject.interval, subject.alert, subject.levels
    fires = subject.round_up(alert.duration_seconds)
    off = fires + _HOLDS_SECONDS
    quiet_row = None if all(leaf.keeps_labels for leaf in alert.leaves) else _quiet_row(subject, row)
    quiet = dict(subject.series([replace(quiet_row, labels=row.labels)], "")) if quiet_row else {}
    ends = off + (0 if quiet_row else subject.lingers(row)) + subject.round_up(alert.keep_firing_seconds)
    # since 3.0 a window excludes the sample at its very beginning
    back = ends + min(_PAUSE_SECONDS, CARRIED_SECONDS - 2 * step)
    again = back + subject.round_up(alert.duration_seconds)
    until = max(again, fires + levels[0]) + 10 * step
    on_steps, off_steps, back_steps = (round(n / step) for n in (off, back - off, until - back + 10 * step))
    case = Case("a flap keeps the clock of the escalation")
    for series, values in subject.series([row], ""):
        if values.startswith("0+"):
            case.series.append((series, values))
        else:
            pause = f"{quiet[series]}x{off_steps - 1}" if series in quiet else f"stale _x{off_steps - 1}"
            case.series.append((series, f"{values}x{on_steps - 1} {pause} {values}x{back_steps}"))
    if not case.series:
        for series, values in subject.series([subject.present], ""):
            case.series.append((series, f"_x{on_steps} {values}x{off_steps - 1} stale _x{back_steps}"))
    label, sample = _sample(subject, row)
    query = subject.firing(label, "escalation_level", every_level=True)
    due = [subject.round_up(fires + level) for level in levels]
    case.checks.append((query, back - step, []))
    if again > back:  # a level does not return before its alert
        case.checks.append((query, again - step, []))
    for seconds in (again, max(again, due[0])):
        count = sum(moment <= seconds for moment in due)
        case.checks.append((query, seconds, [_level(sample, place) for place in range(count + 1)]))
    return case


def _sample(subject: Subject, row: Row) -> tuple[str, str]:
    """Return the label that identifies the row's alert, and its sample."""
    label = subject.row_label or "alertname"
    return label, f'{{{label}="{row.labels.get(label, subject.alert.name)}"}}'


def _level(sample: str, place: int) -> str:
    return sample if place == 0 else f'{sample[:-1]},escalation_level="{place}"}}'
