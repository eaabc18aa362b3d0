"""What other analyzers find becomes suggestions too (regressions, drivers), and what came of suggestions is told."""

import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from tests.analyzers.suggestions.test_open_suggestions import _action, _book
from tests.analyzers.suggestions.test_strategies import BOTTLENECK

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.service.registry import Instruments
from jelmon_analyzers.attribution import Attribution, Driver
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.suggestions import drivers
from jelmon_analyzers.suggestions.regressions import Regressions
from jelmon_analyzers.suggestions.results import KEPT_SECONDS, Measured, Results
from jelmon_analyzers.suggestions.service import Desk
from jelmon_analyzers.suggestions.storage import open_suggestion_store
from jelmon_analyzers.suggestions.strategies import Finding, load

SLOWER = {"signal": "stage_run_seconds", "pipeline": "demo", "stage": "deploy"}
FEWER = {"signal": "cards_per_hour", "pipeline": "demo", "stage": ""}
USUAL = {"signal": "stage_queue_seconds", "pipeline": "demo", "stage": "deploy"}
FOUND = [
    Finding(
        kind="regression", pipeline="demo", state="early_warning", about="cards_per_hour", figures={"change": -0.3}
    ),
    Finding(
        kind="regression",
        pipeline="demo",
        stage="deploy",
        state="severe",
        about="stage_run_seconds",
        figures={"change": 0.8},
    ),
]


def _gauges() -> list[tuple[c.Gauge, dict[str, str], float]]:
    """Two signals got worse, one of them gravely; the third is as usual."""
    rows = ((SLOWER, 0.8, 1.0, 1.0), (FEWER, -0.3, 1.0, 0.0), (USUAL, 0.02, 0.0, 0.0))
    return [
        (gauge, labels, value)
        for labels, *values in rows
        for gauge, value in zip(
            (c.REGRESSION_CHANGE, c.REGRESSION_EARLY_WARNING, c.REGRESSION_SEVERE, c.REGRESSION_BASELINE_READY),
            (*values, 1.0),
            strict=True,
        )
    ]


async def test_regressions_of_the_same_process_are_found_without_prometheus() -> None:
    """`jelmon analyzer all`: the gauges are at hand."""
    instruments = Instruments(Service.ANALYZER)
    regressions = Regressions(instruments, "http://127.0.0.1:9", every_seconds=1)
    for gauge, labels, value in _gauges():
        instruments.set(gauge, value, **labels)
    async with aiohttp.ClientSession() as session:
        await regressions.look(session)

    assert sorted(regressions.findings, key=lambda one: one.about) == FOUND
    assert regressions.trouble == ""


async def test_regressions_of_another_process_are_asked_of_prometheus(
    tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Two replicas of the analyzer tell the same; a dead Prometheus leaves nothing, and says so."""
    rules, config = tmp_path / "rules.yml", tmp_path / "prometheus.yml"
    told = "".join(
        f"      - record: {gauge.name}\n        expr: vector({value})\n"
        f"        labels: {{instance: {replica}, job: jelmon-analyzer"
        + "".join(f", {name}: '{text}'" for name, text in labels.items())
        + "}\n"
        for gauge, labels, value in _gauges()
        for replica in ("a", "b")
    )
    rules.write_text(f"groups:\n  - name: told\n    interval: 1s\n    rules:\n{told}", encoding="utf-8")
    config.write_text(f"rule_files: ['{rules}']\n", encoding="utf-8")
    with Processes(tmp_path / "logs") as children:
        url = launch.prometheus(children, tool("prometheus"), tmp_path / "data", config)
        regressions = Regressions(Instruments(Service.ANALYZER), url, every_seconds=1)
        until = time.monotonic() + 60
        async with aiohttp.ClientSession() as session:
            while len(regressions.findings) < len(FOUND):
                assert time.monotonic() < until, regressions.trouble
                await regressions.look(session)

    assert sorted(regressions.findings, key=lambda one: one.about) == FOUND

    async with aiohttp.ClientSession() as session:
        await regressions.look(session)

    assert regressions.findings == []
    assert regressions.trouble == "Prometheus does not answer"


def test_each_regression_is_a_suggestion_of_its_own_with_its_words() -> None:
    """Two signals of one pipeline do not hide each other, and one that fell is not said to have risen."""
    book = _book()
    opened = book.update(FOUND, 0)

    assert [(one.strategy, one.about, one.action, one.expected_seconds) for one in opened] == [
        ("look_at_change", "cards_per_hour", None, None),
        ("look_at_change", "stage_run_seconds", None, None),
        ("check_dependencies", "stage_run_seconds", "check_dependencies", None),
        ("undo_slow_work", "stage_run_seconds", None, 7.5),
    ]
    assert opened[0].advice == "Look at what was changed in demo when cards_per_hour fell by 30%."
    assert len({one.id for one in opened}) == 4


def test_drivers_of_slow_cards_are_advised_upon_if_they_surely_count() -> None:
    """One that may as well be none is left out; where nothing was found, nothing is said."""
    found = {
        "demo": Attribution(
            (
                Driver("deploy wait", 0.66, 0.55, 0.8),
                Driver("unit tests", 0.35, 0.2, 0.5),
                Driver("host cpu", 0.4, 0.02, 0.9),
                Driver("retries", 0.12, 0.11, 0.2),
            ),
            0.9,
        ),
        "other": Attribution((), 0.1, "the model explains too little"),
    }

    assert [(one.stage, one.cause, one.about) for one in drivers.findings(found)] == [
        ("deploy", "wait", "deploy wait"),
        ("", "tests", "unit tests"),
        ("", "retries", "retries"),
    ]
    assert [(one.strategy, one.stage) for one in _book().update(drivers.findings(found), 0)] == [
        ("shorten_wait", "deploy"),
        ("split_tests", ""),
    ]


def test_the_desk_takes_what_others_find_and_tells_the_gain(tmp_path: Path) -> None:
    """The number that stand open, by strategy."""
    instruments = Instruments(Service.ANALYZER)
    watch = BottleneckGauges(instruments, window_seconds=900)
    desk = Desk(watch, instruments, load(), window_seconds=900, others=[lambda: FOUND])
    desk.cycle(1.0)

    assert instruments.values(c.SUGGESTIONS)["demo", "look_at_change"] == 2


@pytest.mark.parametrize(
    ("after", "result"), [(80.0, "better"), (103.0, "same"), (97.0, "same"), (120.0, "worse")], ids=str
)
def test_a_result_is_better_or_worse_only_if_it_is_notable(after: float, result: str) -> None:
    """Five of a hundred seconds are within what chance does."""
    assert Measured("a", "demo", "add_worker", 0.0, 100.0, after).result == result


def test_results_of_the_last_month_are_exported_each_once() -> None:
    """Two that helped, one that did not; the oldest is out of date."""
    instruments = Instruments(Service.ANALYZER)
    exports, results = Exports(instruments), Results()
    for number, after in enumerate((80.0, 60.0, 130.0, 10.0)):
        one = Measured(f"{number}", "demo", "add_worker", 1000.0 if number < 3 else 10.0, 100.0, after)
        results.add([one, one])
    results.export(exports, 500.0 + KEPT_SECONDS)

    assert instruments.values(c.SUGGESTIONS_APPLIED) == {
        ("demo", "add_worker", "better"): 2,
        ("demo", "add_worker", "same"): 0,
        ("demo", "add_worker", "worse"): 1,
    }
    assert instruments.values(c.SUGGESTIONS_SAVED) == {("demo", "add_worker"): pytest.approx(10)}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_results_survive_a_restart(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """They are read again from the table of recommendations."""
    url = f"sqlite:///{tmp_path / 'r.db'}" if kind == "sqlite" else str(request.getfixturevalue("postgres_dsn"))
    book, now = _book(), time.time()
    store = open_suggestion_store(url)
    await store.save(book.update([BOTTLENECK], now))
    await store.save(book.observe(_action("scale_up", now + 10)))
    await store.save(book.update([], now + 1000))
    (measured,) = await store.measured()

    assert (measured.strategy, measured.pipeline) == ("add_worker", "demo")
    assert measured.applied_at == pytest.approx(now + 10, abs=1e-3)
    assert measured.before_seconds - measured.after_seconds == pytest.approx(9.9)
