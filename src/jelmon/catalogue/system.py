"""The host that the exporter runs on."""

from jelmon.catalogue.metric import Counter, Gauge

_HOST = ("host",)
SYSTEM_CPU = Gauge(
    name="jelmore_system_cpu_usage_ratio",
    help="CPU usage since the last collection, relative to the CPUs of the host or the container's limit.",
    unit="ratio",
    labels=_HOST,
)
SYSTEM_CPUS = Gauge(name="jelmore_system_cpus", help="CPUs available to the host or container.", labels=_HOST)
SYSTEM_MEMORY = Gauge(
    name="jelmore_system_memory_usage_ratio",
    help="Memory usage, relative to the memory of the host or the container's limit.",
    unit="ratio",
    labels=_HOST,
)
SYSTEM_MEMORY_TOTAL = Gauge(
    name="jelmore_system_memory_total_bytes",
    help="Memory available to the host or container.",
    unit="bytes",
    labels=_HOST,
)
SYSTEM_SWAP = Gauge(
    name="jelmore_system_swap_usage_ratio", help="Swap usage, relative to its size.", unit="ratio", labels=_HOST
)
SYSTEM_DISK = Gauge(
    name="jelmore_system_disk_usage_ratio",
    help="Disk usage, relative to the space available to unprivileged users.",
    unit="ratio",
    labels=("host", "mountpoint"),
)
SYSTEM_DISK_FREE = Gauge(
    name="jelmore_system_disk_free_bytes",
    help="Free disk space available to unprivileged users.",
    unit="bytes",
    labels=("host", "mountpoint"),
)
SYSTEM_DISK_IO = Gauge(
    name="jelmore_system_disk_io_ratio",
    help="Fraction of the time since the last collection in which the disk was busy.",
    unit="ratio",
    labels=("host", "device"),
)
SYSTEM_LOAD = Gauge(
    name="jelmore_system_load", help="Load average.", labels=("host", "period"), closed={"period": ("1m", "5m", "15m")}
)
SYSTEM_NETWORK = Counter(
    name="jelmore_system_network_bytes_total",
    help="Bytes received and transmitted, excluding loopback.",
    unit="bytes",
    labels=("host", "direction"),
    closed={"direction": ("receive", "transmit")},
)
