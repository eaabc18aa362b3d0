"""The lower rows of the dashboard ``pipeline``: services, sessions, the host, and whether the data is complete."""

from grafanalib import core

from jelmon.catalogue import (
    CALL_ERRORS,
    CALL_TIME,
    CONSUMER_LAG,
    EVENTS_APPLIED,
    EVENTS_DUPLICATE,
    EVENTS_LATE,
    EVENTS_LOST,
    EVENTS_PARKED,
    SESSIONS_ACTIVE,
    SYSTEM_CPU,
    SYSTEM_CPUS,
    SYSTEM_DISK,
    SYSTEM_DISK_IO,
    SYSTEM_LOAD,
    SYSTEM_MEMORY,
    SYSTEM_NETWORK,
    SYSTEM_SWAP,
    TARGET_UP,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.board import Heading, Line
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    GREY,
    OK,
    TEXT,
    WARNING,
    colours,
    faint,
    fixed,
    override,
    override_pattern,
    steps,
)
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import graph, timeline


def rows(limits: Limits) -> list[Heading | Line]:
    """Headings 103 to 105 and panels 40 to 62."""
    return [
        Heading(103, "Services and sessions"),
        Line(7, [_services(), _call_time(), _call_errors(), _sessions()]),
        Heading(104, "Host of the exporter"),
        Line(7, [_processor(limits), _disks(limits), _load(), _network()]),
        Heading(105, "Is the data complete?"),
        Line(7, [_events(), _refused(), _lag(limits)]),
    ]


# --- services and sessions ---


def _services() -> core.Panel:
    return timeline(
        40,
        "Services",
        "Whether the last probe of each target succeeded.",
        [("{{target}}", queries.gauge(TARGET_UP, by=("target",), how="max"))],
        words={"0": ("down", CRITICAL), "1": ("up", OK)},
        no_value="no target is probed",
    )


def _call_time() -> core.Panel:
    return graph(
        41,
        "Service calls, p95",
        "95 % of the calls to the service took no longer.",
        [("{{target}}", queries.quantile(0.95, CALL_TIME, by=("target",)))],
        unit="s",
        no_value="no calls in this time",
    )


def _call_errors() -> core.Panel:
    return graph(
        42,
        "Service errors",
        "Calls that failed, by class of error.",
        [("{{target}}: {{reason}}", queries.rate(CALL_ERRORS, by=("target", "reason")))],
        unit="ops",
        no_value="no errors reported",
        bars=True,
    )


def _sessions() -> core.Panel:
    return graph(
        43,
        "Active sessions",
        "Sessions begun and not yet ended, by kind.",
        [("{{kind}}", queries.gauge(SESSIONS_ACTIVE, by=("kind",)))],
        unit="short",
        no_value="no sessions reported",
        axis="sessions",
    )


# --- host ---


def _processor(limits: Limits) -> core.Panel:
    return graph(
        50,
        "CPU, memory, swap",
        "Share in use of what the host, or the container's limit, has. Alerts (dashed): CPU above "
        f"{limits.share('host_cpu_high')}, memory above {limits.share('host_memory_high')}.",
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
        51,
        "Disk space and disk time",
        "Share of each file system that is full, and share of the time in which each disk was busy. Dashed: where "
        "alerts fire.",
        [
            ("{{host}} {{mountpoint}} full", queries.gauge(SYSTEM_DISK, by=("host", "mountpoint"), how="max")),
            ("{{host}} {{device}} busy", queries.gauge(SYSTEM_DISK_IO, by=("host", "device"), how="max")),
        ],
        unit="percentunit",
        maximum=1,
        levels=limits.lines(disk_space_low="orange", disk_space_exhausted=CRITICAL),
        overrides=[faint("busy")],
    )


def _load() -> core.Panel:
    load = queries.gauge(SYSTEM_LOAD, by=("host", "period"), how="max")
    return graph(
        52,
        "Load for each CPU",
        "Load average divided by the number of CPUs. Above 1, work waits for a CPU.",
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
        53,
        "Network",
        "Bytes received and sent, without loopback.",
        [("{{host}} {{direction}}", queries.rate(SYSTEM_NETWORK, by=("host", "direction")))],
        unit="Bps",
    )


# --- the exporter itself ---


def _events() -> core.Panel:
    return graph(
        60,
        "Events counted",
        "Events that the exporter counted, by type.",
        [("{{type}}", queries.rate(EVENTS_APPLIED, by=("type",)))],
        unit="ops",
        bars=True,
    )


def _refused() -> core.Panel:
    return graph(
        61,
        "Events not counted, or counted late",
        "parked: could not be read and wait in the dead-letter stream. lost: the stream dropped them before they were "
        "counted, so the figures are too low. duplicate: the same event again, rightly left out. late: counted, but "
        "its card had moved on.",
        [
            ("parked: {{reason}}", queries.rate(EVENTS_PARKED, by=("reason",))),
            ("lost", queries.rate(EVENTS_LOST)),
            ("duplicate", queries.rate(EVENTS_DUPLICATE)),
            ("late", queries.rate(EVENTS_LATE)),
        ],
        unit="ops",
        overrides=[
            *colours({"lost": "dark-red", "duplicate": GREY, "late": WARNING}),
            override_pattern("parked: .*", custom__fillOpacity=20),
        ],
    )


def _lag(limits: Limits) -> core.Panel:
    return graph(
        62,
        "Events behind",
        "Events in the stream that are not yet counted. While it is above 0 the figures on this page are of the past. "
        f"Above {limits.number('consumer_lag_high')} an alert fires.",
        [("events behind", queries.gauge(CONSUMER_LAG))],
        unit="short",
        axis="events",
        overrides=[override("events behind", color=fixed(TEXT))],
    )
