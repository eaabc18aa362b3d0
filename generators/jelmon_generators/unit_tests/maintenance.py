"""Unit tests for maintenance: each window opens and closes on time, and errors during it cost no budget."""

from collections.abc import Iterator, Mapping

from jelmon.catalogue import MAINTENANCE_END, MAINTENANCE_START
from jelmon_generators.compile.maintenance import GROUP, scope_of, scopes
from jelmon_generators.compile.slo_counts import Counts
from jelmon_generators.compile.slos import PAGE, burn_threshold, windows_of
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.definitions import Slo, camel_case
from jelmon_generators.model.test_case import Case, selector
from jelmon_generators.promql.expressions import number
from jelmon_generators.promql.series import MAINTENANCE_ACTIVE, Series
from jelmon_generators.unit_tests.counters import Labels, counted_labels, job_of, series_name
from jelmon_generators.unit_tests.promtool import file_text

TESTS_FOLDER = "rules/tests/maintenance"
_OPENS, _CLOSES = 3600, 7200  # of a window's test, in seconds
_BEFORE, _DURING, _AFTER = 30, 30, 60  # minutes of an objective's test
_MORE_BAD = 20  # bad events for each good one while it burns
_SHARE_BURNT = 0.45  # of an hour, when it has burnt for half an hour


def render(made: Compilation) -> dict[str, str]:
    """Return a file for the windows, and one for each objective that a window can cover."""
    files = {}
    groups = {group.name: group for group in made.groups}
    if GROUP in groups:
        cases = [
            _window(window.name, dict(window.matchers), groups[GROUP].interval_seconds)
            for window in made.bundle.windows.values()
            if window.matchers
        ]
        files[f"{TESTS_FOLDER}/{GROUP}.yml"] = file_text("rules/windows.yaml", cases, groups[GROUP])
    for slo in made.bundle.slos.values():
        cases = [case for names in scopes(slo.by) for case in _objective(slo, names, made.bundle.series)]
        if cases:
            group = groups[f"slo_{slo.name}"]
            files[f"{TESTS_FOLDER}/{group.name}.yml"] = file_text(slo.fields.place.source.path, cases, group)
    return files


def _window(name: str, matchers: Labels, interval: float) -> Case:
    """Return a case: the window is open from one evaluation before its start until its end."""
    shape = f"x{round(_CLOSES / interval) + 2}"
    labels = {"instance": "a", "job": "jelmon-responder", "window": name}
    count = f'count by ({", ".join(sorted(matchers))}) ({MAINTENANCE_ACTIVE}{{window="{name}"}} == 1)'
    case = Case(f"{name} opens and closes on time")
    case.series = [
        (selector(MAINTENANCE_START.name, labels), f"{_OPENS}{shape}"),
        (selector(MAINTENANCE_END.name, labels), f"{_CLOSES}{shape}"),
    ]
    case.checks = [
        (count, _OPENS - 2 * interval, []),
        (count, _OPENS - interval, [selector("", matchers)]),
        (count, _CLOSES - interval, [selector("", matchers)]),
        (count, _CLOSES, []),
    ]
    return case


def _objective(slo: Slo, names: tuple[str, ...], known: Mapping[str, Series]) -> Iterator[Case]:
    """Yield a case with two rows that burn alike: the one in maintenance spends no budget and does not page."""
    case = Case(f"errors during maintenance of its {' and '.join(names)} are not counted")
    rows = [{**{label: f"a-{label}" for label in slo.by}, **dict.fromkeys(names, row)} for row in ("in", "out")]
    for row in rows:
        labels = {**row, "instance": "a"}
        case.series += _measured(slo, labels) if slo.condition else _counted(slo, labels, known)
    if not case.series:
        return
    scope = {name: rows[0][name] for name in names}
    active = {"instance": "all", "job": "jelmon-responder", "scope": scope_of(iter(names)), "window": "w", **scope}
    case.series.append((selector(MAINTENANCE_ACTIVE, active), f"0x{_BEFORE - 1} 1x{_DURING} 0x{_AFTER - 1}"))
    inside, outside = (selector("", {name: row[name] for name in names}) for row in rows)
    valid, wrong = (f"jelmore:{name}" for name in (Counts(slo).valid_name, Counts(slo).bad_name))
    by = f"count by ({', '.join(names)})"
    during, after = (_BEFORE + _DURING - 2) * 60, (_BEFORE + _DURING + _AFTER - 5) * 60
    case.checks = [
        (f"{by} ({valid} > 0)", (_BEFORE - 5) * 60, [inside, outside]),
        (f"{by} ({valid} > 0)", during, [outside]),
        (f"{by} ({valid} > 0)", after, [inside, outside]),
        (f"{by} (sum_over_time({wrong}[2h]) > 0)", after, [outside]),
    ]
    if windows_of(slo)[:1] == PAGE[:1] and burn_threshold(slo, PAGE[0]) < _SHARE_BURNT:
        alert = camel_case(f"{slo.name}_budget_burn_fast")
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing",escalation_level=""}}'
        case.checks.append((f"{by} ({firing})", during, [outside]))
    yield case


def _counted(slo: Slo, row_labels: Labels, known: Mapping[str, Series]) -> Iterator[tuple[str, str]]:
    """Yield series of events: few good ones throughout, many bad ones while it burns."""
    good, bad = counted_labels(slo.valid, known, unlike=slo.bad), counted_labels(slo.bad, known)
    if good is None or bad is None:
        return
    if (good.keys() | bad.keys()) & set(slo.by):  # the objective covers only one value, so there are no two rows
        return
    row_labels = {"job": job_of(slo.valid, known), **row_labels}
    per_minute = int(slo.minimum_events / _BEFORE) + 1
    yield selector(series_name(slo.valid), {**row_labels, **good}), f"0+{per_minute}x{_BEFORE + _DURING + _AFTER}"
    burst = per_minute * _MORE_BAD
    yield (
        selector(series_name(slo.bad), {**row_labels, **bad}),
        f"0x{_BEFORE - 1} 0+{burst}x{_DURING} {burst * _DURING}x{_AFTER - 1}",
    )


def _measured(slo: Slo, row_labels: Labels) -> Iterator[tuple[str, str]]:
    """Yield a signal that crosses its threshold while it burns."""
    assert slo.condition is not None
    key = slo.condition.key
    values = [value for value in slo.condition.edges({}) if value is not None]
    bad = next(value for value in values if slo.condition.holds({key: value}, {}))
    good = next(value for value in values if not slo.condition.holds({key: value}, {}))
    shape = [(good, _BEFORE - 1), (bad, _DURING), (good, _AFTER - 1)]
    series = selector(f"jelmore:{slo.condition.signal}", {"job": "a-job", **row_labels})
    yield series, " ".join(f"{number(value)}x{times}" for value, times in shape)
