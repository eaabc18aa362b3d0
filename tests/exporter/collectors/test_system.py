"""Figures of the machine, and of the container where its limits are narrower."""

from pathlib import Path

import psutil
import pytest

from jelmon import catalogue as c
from jelmon_exporter.collectors.system import SystemCollector
from jelmon_exporter.series.cells import SeriesTable


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_host_is_measured(tmp_path: Path) -> None:
    table, clock = SeriesTable(), Clock()
    collector = SystemCollector(table, "h", cgroup=tmp_path, clock=clock)
    clock.now += 1
    collector.collect()
    collector.collect()

    for metric in (c.SYSTEM_CPU, c.SYSTEM_MEMORY, c.SYSTEM_SWAP):
        value = table.cell(metric, "h").value
        assert value is not None
        assert 0 <= value <= 1
    assert table.cell(c.SYSTEM_MEMORY_TOTAL, "h").value == psutil.virtual_memory().total
    free = table.cell(c.SYSTEM_DISK_FREE, "h", "/").value
    assert free is not None
    assert free > 0
    assert table.cell(c.SYSTEM_LOAD, "h", "15m").value is not None


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """Control group files of a container with half a CPU and 100 MiB."""
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1000000\nuser_usec 900000\n")
    (tmp_path / "memory.max").write_text(f"{100 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{90 * 2**20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {15 * 2**20}\n")
    return tmp_path


def test_the_limits_of_a_container_count(container: Path) -> None:
    """A quarter of a second of CPU in a second is half of half a CPU; page cache that can go is not in use."""
    table, clock = SeriesTable(), Clock()
    collector = SystemCollector(table, "h", cgroup=container, clock=clock)
    clock.now += 1
    (container / "cpu.stat").write_text("usage_usec 1250000\n")
    collector.collect()

    assert table.cell(c.SYSTEM_CPU, "h").value == pytest.approx(0.5)
    assert table.cell(c.SYSTEM_CPUS, "h").value == 0.5
    assert table.cell(c.SYSTEM_MEMORY, "h").value == pytest.approx(0.75)
    assert table.cell(c.SYSTEM_MEMORY_TOTAL, "h").value == 100 * 2**20


def test_a_container_without_limits_is_measured_as_its_host(container: Path) -> None:
    (container / "cpu.max").write_text("max 100000\n")
    (container / "memory.max").write_text("max\n")
    table = SeriesTable()
    SystemCollector(table, "h", cgroup=container).collect()

    assert table.cell(c.SYSTEM_MEMORY_TOTAL, "h").value == psutil.virtual_memory().total
