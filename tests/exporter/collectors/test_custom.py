"""Collectors that users add: ten lines in a package of their own, and what goes wrong in them stays with them."""

import asyncio
import base64
import hashlib
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from jelmon import catalogue as c
from jelmon_exporter.collectors.custom import GROUP, MAX_SAMPLES, CustomCollectors
from jelmon_exporter.series.cells import SeriesTable

LICENCES = """
def collect():
    for product, used in {"ide": 17, "profiler": 3}.items():
        yield "licences_seats_used", "Seats in use.", {"product": product}, used
    yield "licences_requests_total", "Requests to the licence server.", {}, 1234.5
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Install a package with one collector, by pip, into a folder that Python then finds."""

    def install(name: str, code: str) -> Path:
        folder = tmp_path / "site"
        wheel = _wheel(tmp_path, name, code)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--target",
            str(folder),
        ]
        done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        monkeypatch.syspath_prepend(folder)
        return folder

    return install


def _wheel(folder: Path, name: str, code: str) -> Path:
    """A wheel as a build backend makes it; there may be no backend here and no network to get one."""
    info = f"example_{name}-1.0.dist-info"
    files = {
        f"example_{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: example-{name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{GROUP}]\n{name} = example_{name}:collect\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    record = "".join(f"{path},sha256={digests[path]},{len(text)}\n" for path, text in files.items())
    path = folder / f"example_{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_in_archive, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name_in_archive, text)
    return path


def up_of(table: SeriesTable, name: str) -> Any:
    return table.cell(c.COLLECTOR_UP, name).value


async def test_an_installed_package_is_collected(installed: Callable[[str, str], Path]) -> None:
    installed("licences", LICENCES)
    table = SeriesTable()
    collectors = CustomCollectors(table)
    await collectors.collect()

    assert collectors.names == ("licences",)
    assert up_of(table, "licences") == 1
    assert collectors.render(openmetrics=False) == (
        "# HELP licences_seats_used Seats in use.\n"
        "# TYPE licences_seats_used gauge\n"
        'licences_seats_used{product="ide"} 17\n'
        'licences_seats_used{product="profiler"} 3\n'
        "# HELP licences_requests_total Requests to the licence server.\n"
        "# TYPE licences_requests_total counter\n"
        "licences_requests_total 1234.5\n"
    )
    page = collectors.render(openmetrics=True) + "# EOF\n"
    families = {family.name: family.type for family in parse_openmetrics(page)}  # type: ignore[no-untyped-call]
    assert families == {"licences_seats_used": "gauge", "licences_requests": "counter"}


# --- without installing: an entry point is a name for something in a module ---


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CustomCollectors]:
    """Collectors made of functions."""
    module = ModuleType("collectors_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def made(table: SeriesTable, limit: float = 20, **functions: Any) -> CustomCollectors:
        vars(module).update(functions)
        entries = [EntryPoint(name, f"{module.__name__}:{name}", GROUP) for name in functions]
        return CustomCollectors(table, limit=limit, entries=entries)

    return made


GOOD: list[Any] = [("good_things", "Things.", {}, 1)]


async def test_text_is_escaped_and_values_are_exact(collector: Callable[..., CustomCollectors]) -> None:
    samples = [
        ("good_x", 'A "help"\nof \\ two lines', {"b": 'q"\n\\', "a": "ä"}, float("nan")),
        ("good_y", "", {}, True),
    ]
    collectors = collector(SeriesTable(), good=lambda: samples)
    await collectors.collect()
    x, y = parse_text(collectors.render(openmetrics=False))

    assert x.documentation == 'A "help"\nof \\ two lines'
    assert x.samples[0].labels == {"a": "ä", "b": 'q"\n\\'}
    assert x.samples[0].value != x.samples[0].value
    assert y.samples[0].value == 1


async def test_a_coroutine_function_will_do_too(collector: Callable[..., CustomCollectors]) -> None:
    async def good() -> list[Any]:
        await asyncio.sleep(0)
        return GOOD

    collectors = collector(SeriesTable(), good=good)
    await collectors.collect()

    assert "good_things 1\n" in collectors.render(openmetrics=False)


def raising() -> Any:
    raise RuntimeError("the server is away")


def exiting() -> Any:
    raise SystemExit(3)


def half() -> Any:
    yield from GOOD
    raise OSError("half way")


BROKEN: dict[str, tuple[Any, str]] = {
    "it raises": (raising, "RuntimeError: the server is away"),
    "it exits": (exiting, "raised SystemExit"),
    "it fails half way": (half, "OSError: half way"),
    "it returns nothing": (lambda: None, "TypeError: 'NoneType' object is not iterable"),
    "no sample": (lambda: [1], "1 is not (name, help, labels, value)"),
    "no number": (lambda: [("bad_a", "", {}, "many")], "('bad_a', '', {}, 'many') is not (name, help, labels, value)"),
    "our prefix": (
        lambda: [("jelmore_cards_finished_total", "", {}, 1)],
        "the metric 'jelmore_cards_finished_total' does not begin with 'bad_', the collector's name",
    ),
    "no metric name": (lambda: [("bad_a-b", "", {}, 1)], "the metric 'bad_a-b' does not begin with 'bad_'"),
    "a histogram's part": (
        lambda: [("bad_a_bucket", "", {"x": "1"}, 1)],
        "the metric 'bad_a_bucket' has a suffix that is reserved for histograms; use another name",
    ),
    "no label name": (lambda: [("bad_a", "", {"a-b": "c"}, 1)], "bad_a: 'a-b' is not a label name"),
    "a long value": (lambda: [("bad_a", "", {"a": "x" * 129}, 1)], "bad_a: the value of 'a' has more than 128"),
    "a series twice": (lambda: [("bad_a", "", {"a": "b"}, 1)] * 2, 'bad_a{a="b"} occurs twice'),
    "too many": (
        lambda: [("bad_a", "", {"a": str(number)}, 1) for number in range(MAX_SAMPLES + 1)],
        "1001 samples, at most 1000 are allowed",
    ),
}


@pytest.mark.parametrize(("bad", "message"), BROKEN.values(), ids=BROKEN)
async def test_what_goes_wrong_stays_with_its_collector(
    collector: Callable[..., CustomCollectors], bad: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = SeriesTable()
    collectors = collector(table, bad=bad, good=lambda: GOOD)
    await collectors.collect()
    await collectors.collect()

    assert (up_of(table, "bad"), up_of(table, "good")) == (0, 1)
    assert "good_things 1\n" in collectors.render(openmetrics=False)
    assert "bad_" not in collectors.render(openmetrics=False)
    assert [record.collector for record in caplog.records] == ["bad"]  # type: ignore[attr-defined] # told once
    assert caplog.records[0].error.startswith(message)  # type: ignore[attr-defined]


async def test_figures_that_no_longer_hold_are_not_shown(collector: Callable[..., CustomCollectors]) -> None:
    table, answers = SeriesTable(), [GOOD, None, GOOD]
    collectors = collector(table, good=lambda: answers.pop(0))
    shown = []
    for _ in range(3):
        await collectors.collect()
        shown.append(("good_things" in collectors.render(openmetrics=False), up_of(table, "good")))

    assert shown == [(True, 1), (False, 0), (True, 1)]


async def test_a_collector_that_hangs_is_left_alone_until_it_comes_back(
    collector: Callable[..., CustomCollectors], caplog: pytest.LogCaptureFixture
) -> None:
    table, release, calls = SeriesTable(), threading.Event(), []

    def hangs() -> Any:
        calls.append(1)
        release.wait(20)
        return [("hangs_x", "", {}, 1)]

    collectors = collector(table, limit=0.5, hangs=hangs, good=lambda: GOOD)
    for _ in range(3):
        await collectors.collect()
        assert (up_of(table, "hangs"), up_of(table, "good")) == (0, 1)
    assert len(calls) == 1  # no thread is added for each interval
    release.set()
    async with asyncio.timeout(20):
        while up_of(table, "hangs") != 1:
            await collectors.collect()

    assert len(calls) == 2
    assert [record.error for record in caplog.records] == ["not finished within 0.5 s"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jelmore_more", "math:pi", "names that begin with 'jelmore' are reserved"),
        ("process", "math:pi", "names that begin with 'process' are reserved"),
        ("Upper", "math:pi", "a collector's name has lower-case letters"),
        ("constant", "math:pi", "math:pi is not a function"),
        ("gone", "no_such_module:collect", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("lost", "math:collect", "AttributeError: module 'math' has no attribute 'collect'"),
    ],
)
def test_what_cannot_be_loaded_is_told(name: str, value: str, message: str, caplog: pytest.LogCaptureFixture) -> None:
    table = SeriesTable()
    collectors = CustomCollectors(table, entries=[EntryPoint(name, value, GROUP)])

    assert collectors.names == ()
    assert up_of(table, name) == 0
    assert caplog.records[0].error.startswith(message)  # type: ignore[attr-defined]


def test_two_collectors_whose_metrics_could_mix_are_not_both_loaded() -> None:
    entries = [EntryPoint(name, "math:sqrt", GROUP) for name in ("disk", "disk_array", "diskless")]

    assert CustomCollectors(SeriesTable(), entries=entries).names == ("disk", "diskless")
