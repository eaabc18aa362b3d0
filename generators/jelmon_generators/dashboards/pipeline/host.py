"""The exporter's host on the dashboard ``pipeline``: CPU, memory, disks, network."""

from grafanalib import core

from jelmon.catalogue import (
    SYSTEM_CPU,
    SYSTEM_CPUS,
    SYSTEM_DISK,
    SYSTEM_DISK_IO,
    SYSTEM_LOAD,
    SYSTEM_MEMORY,
    SYSTEM_NETWORK,
    SYSTEM_SWAP,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    faint,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import PipelinePanel


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row of the host."""
    return [
        Heading(104, "Exporter host", collapsed=True),
        Line(7, [_processor(limits), _disks(limits), _load(), _network()]),
    ]


def _processor(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.HOST_RESOURCES,
        "Share of the host's capacity, or of the container limit, in use. Alert thresholds (dashed): CPU "
        f"{limits.share('host_cpu_high')}, memory {limits.share('host_memory_high')}.",
        [
            (f"{{{{host}}}} {name}", queries.gauge(metric, by=("host",), how="max"))
            for name, metric in (("CPU", SYSTEM_CPU), ("memory", SYSTEM_MEMORY), ("swap", SYSTEM_SWAP))
        ],
        unit="percentunit",
        maximum=1,
        levels=limits.lines(host_cpu_high="orange", host_memory_high=CRITICAL),
    )


def _disks(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.DISKS,
        "Share of each file system in use, and share of time each disk was busy. Dashed: alert thresholds.",
        [
            ("{{host}} {{mountpoint}} full", queries.gauge(SYSTEM_DISK, by=("host", "mountpoint"), how="max")),
            ("{{host}} {{device}} busy", queries.gauge(SYSTEM_DISK_IO, by=("host", "device"), how="max")),
        ],
        unit="percentunit",
        maximum=1,
        levels=limits.lines(disk_space_low="orange", disk_io_saturated="orange", disk_space_exhausted=CRITICAL),
        overrides=[faint("busy")],
    )


def _load() -> core.Panel:
    load = queries.gauge(SYSTEM_LOAD, by=("host", "period"), how="max")
    return graph(
        PipelinePanel.LOAD,
        "Load average divided by the number of CPUs. Above 1, processes wait for a CPU.",
        [
            (
                "{{host}} {{period}}",
                f"{load} / on (host) group_left () {queries.gauge(SYSTEM_CPUS, by=('host',), how='max')}",
            )
        ],
        unit="short",
        levels=steps("transparent", (1, "orange")),
    )


def _network() -> core.Panel:
    return graph(
        PipelinePanel.NETWORK,
        "Bytes received and sent, excluding the loopback interface.",
        [("{{host}} {{direction}}", queries.rate(SYSTEM_NETWORK, by=("host", "direction")))],
        unit="Bps",
    )
