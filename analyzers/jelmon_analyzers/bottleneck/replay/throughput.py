"""Gain in throughput of a faster stage, from capacities alone."""

from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.replay.line_model import pools_of
from jelmon_analyzers.bottleneck.replay.model import FASTER
from jelmon_analyzers.bottleneck.verdict.report import StageReport


def throughput_ratios(line: Line, reports: dict[str, StageReport], now: float) -> dict[str, float]:
    """Return min(offered, least capacity) after / before - 1 for each stage made 20 % faster, by name.

    The capacity of a pool is workers / (visits of a card x mean run). The ratio is 0 unless the stage limits a
    saturated line.
    """
    seconds = next(iter(reports.values())).window_seconds if reports else 0.0
    offered = line.work_in_process.arrivals_since(now - seconds) / max(seconds, 1e-9)
    cards = max(1, line.work_in_process.departures_since(now - seconds))
    pools = pools_of(line)
    pool_load: dict[int, float] = {}  # work of one card in a pool / its workers
    stage_load: dict[str, float] = {}
    for name, report in reports.items():
        pool = pools[line.index[name]]
        if not report.workers or report.run_seconds is None:
            continue
        visits = report.finishes / cards
        stage_load[name] = visits * report.run_seconds / report.workers
        pool_load[pool] = pool_load.get(pool, 0.0) + stage_load[name]
    before = _throughput(offered, pool_load)
    ratios = {}
    for name in reports:
        pool = pools[line.index[name]]
        changed = {**pool_load, pool: pool_load.get(pool, 0.0) - (1 - FASTER) * stage_load.get(name, 0.0)}
        ratios[name] = _throughput(offered, changed) / before - 1 if before > 0 else 0.0
    return ratios


def _throughput(offered: float, pool_load: dict[int, float]) -> float:
    return min([offered, *(1 / load for load in pool_load.values() if load > 0)])
