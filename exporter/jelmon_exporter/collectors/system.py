"""CPU, memory, disks, load and network of the host, by psutil; of the container, where its limits are narrower."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from jelmon import catalogue as c
from jelmon_exporter.series.cells import SeriesTable

_PSEUDO = ("overlay", "squashfs", "tmpfs", "devtmpfs", "ramfs", "iso9660")
_CGROUP = Path("/sys/fs/cgroup")


class SystemCollector:
    """Reads the machine and sets gauges. `collect` takes a few milliseconds and does not wait for anything."""

    name = "system"

    def __init__(
        self, table: SeriesTable, host: str, *, cgroup: Path = _CGROUP, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = table
        self._host = host
        self._cgroup = cgroup
        self._clock = clock
        self._shown: set[str] = set()
        self._disk_busy: dict[str, float] = {}
        self._collected = clock()
        self._cpu_used = self._cpu_seconds()

    def collect(self) -> None:
        """Set all gauges. CPU and disk I/O are since the last call."""
        now = self._clock()
        elapsed = max(now - self._collected, 1e-3)
        self._cpu(elapsed)
        self._memory()
        self._disks(elapsed)
        for period, value in zip(("1m", "5m", "15m"), os.getloadavg(), strict=True):
            self._table.cell(c.SYSTEM_LOAD, self._host, period).set(value)
        counters = psutil.net_io_counters(pernic=True, nowrap=True)
        nics = [counter for name, counter in counters.items() if not name.startswith("lo")]
        for direction, total in (
            ("receive", sum(nic.bytes_recv for nic in nics)),
            ("transmit", sum(nic.bytes_sent for nic in nics)),
        ):
            self._table.cell(c.SYSTEM_NETWORK, self._host, direction).set(total)
        self._collected = now

    # --- CPU ---

    def cpus(self) -> float:
        """How many CPUs may be used: by affinity, and by the container's quota where there is one."""
        if hasattr(os, "sched_getaffinity"):
            available = float(len(os.sched_getaffinity(0)))
        else:
            available = float(os.cpu_count() or 1)
        quota = self._read("cpu.max").split()
        if len(quota) == 2 and quota[0].isdigit():
            available = min(available, int(quota[0]) / int(quota[1]))
        return available

    def _in_container(self) -> bool:
        """Whether a limit of CPU or memory holds for us and not for the whole host."""
        return self._read("cpu.max").split()[:1] not in ([], ["max"]) or self._memory_limit() is not None

    def _cpu_seconds(self) -> float:
        if self._in_container():
            for line in self._read("cpu.stat").splitlines():
                if line.startswith("usage_usec"):
                    return int(line.split()[1]) / 1e6
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice already
        return float(sum(times) - guest - idle)

    def _cpu(self, elapsed: float) -> None:
        used = self._cpu_seconds()
        available = self.cpus() if self._in_container() else float(psutil.cpu_count() or 1)
        ratio = (used - self._cpu_used) / (elapsed * available)
        self._cpu_used = used
        self._table.cell(c.SYSTEM_CPU, self._host).set(min(max(ratio, 0.0), 1.0))
        self._table.cell(c.SYSTEM_CPUS, self._host).set(self.cpus())

    # --- memory ---

    def _memory_limit(self) -> int | None:
        text = self._read("memory.max").strip()
        return int(text) if text.isdigit() and int(text) < psutil.virtual_memory().total else None

    def _memory(self) -> None:
        memory, limit = psutil.virtual_memory(), self._memory_limit()
        total, used = float(memory.total), float(memory.total - memory.available)
        if limit is not None:
            inactive = next(
                (
                    int(line.split()[1])
                    for line in self._read("memory.stat").splitlines()
                    if line[:14] == "inactive_file "
                ),
                0,
            )
            total, used = float(limit), float(int(self._read("memory.current").strip() or 0) - inactive)
        self._table.cell(c.SYSTEM_MEMORY, self._host).set(min(max(used / total, 0.0), 1.0))
        self._table.cell(c.SYSTEM_MEMORY_TOTAL, self._host).set(total)
        swap = psutil.swap_memory()
        self._table.cell(c.SYSTEM_SWAP, self._host).set(swap.used / swap.total if swap.total else 0.0)

    # --- disks ---

    def _disks(self, elapsed: float) -> None:
        shown: set[str] = set()
        devices: set[str] = set()
        for part in psutil.disk_partitions(all=False):
            if part.fstype in _PSEUDO or part.device in devices or Path(part.mountpoint).is_file():
                continue
            devices.add(part.device)
            shown |= self._disk(part.mountpoint)
        if "/" not in shown:
            shown |= self._disk("/")
        for mountpoint in self._shown - shown:  # unmounted
            self._table.cell(c.SYSTEM_DISK, self._host, mountpoint).set(None)
            self._table.cell(c.SYSTEM_DISK_FREE, self._host, mountpoint).set(None)
        self._shown = shown
        for device, counters in psutil.disk_io_counters(perdisk=True, nowrap=True).items():
            busy = getattr(counters, "busy_time", None)
            if busy is None or device.startswith(("loop", "ram", "zram", "sr")):
                continue
            if device in self._disk_busy:
                ratio = (busy - self._disk_busy[device]) / 1000 / elapsed
                self._table.cell(c.SYSTEM_DISK_IO, self._host, device).set(min(max(ratio, 0.0), 1.0))
            self._disk_busy[device] = busy

    def _disk(self, mountpoint: str) -> set[str]:
        try:
            usage = psutil.disk_usage(mountpoint)
        except OSError:  # unmounted meanwhile, or not ours to see
            return set()
        self._table.cell(c.SYSTEM_DISK, self._host, mountpoint).set(usage.percent / 100)
        self._table.cell(c.SYSTEM_DISK_FREE, self._host, mountpoint).set(usage.free)
        return {mountpoint}

    def _read(self, name: str) -> str:
        try:
            return (self._cgroup / name).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""
