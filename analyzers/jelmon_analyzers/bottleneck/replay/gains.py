"""What a faster stage would gain: the window replayed as recorded, and with one stage 20 % faster.

The whole line is replayed, because stages depend on each other (blocking, shared workers, limits, outages). A line too
large for that is replayed stage by stage, which is nearly exact for independent stages; for others the gain is
withheld.
"""

from dataclasses import dataclass

from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.replay.line_model import model_of, recorded_since
from jelmon_analyzers.bottleneck.replay.model import FASTER
from jelmon_analyzers.bottleneck.replay.replay import replay
from jelmon_analyzers.bottleneck.replay.single_stage import single_stage_gains
from jelmon_analyzers.bottleneck.replay.throughput import throughput_ratios
from jelmon_analyzers.bottleneck.replay.traces import traces_of
from jelmon_analyzers.bottleneck.verdict.report import StageReport

MOST_VISITS = 200_000
"""Visits that may be replayed for one answer: about a second."""
MINIMUM_RUNS = 20


@dataclass(frozen=True, slots=True)
class Gain:
    """What 20 % less work time at one stage would bring. ``None``: withheld for the given reason."""

    stage: str
    seconds_per_card: float | None
    throughput_ratio: float | None
    reason: str = ""


def gains(line: Line, reports: dict[str, StageReport], now: float) -> dict[str, Gain]:
    """Return the gain of each stage, by name."""
    seconds = next(iter(reports.values())).window_seconds if reports else 0.0
    begin = recorded_since(line, now - seconds)
    runs = [sum(1 for run in stage.runs if run.finished >= begin) for stage in line.stages]
    departures = line.work_in_process.departures_since(begin)
    answer: dict[str, Gain] = {}
    candidates = []
    for index, stage in enumerate(line.stages):
        if runs[index] < MINIMUM_RUNS or departures < MINIMUM_RUNS:
            answer[stage.name] = Gain(stage.name, None, None, "too few runs ended in the window")
        else:
            candidates.append(index)
    if not candidates:
        return answer
    throughput = throughput_ratios(line, reports, now)
    if sum(runs) * (len(candidates) + 1) <= MOST_VISITS:
        saved = _whole_line_gains(line, begin, now, candidates)
    elif _is_coupled(line, reports):
        reason = "stages depend on each other, and the line is too large to run again"
        for index in candidates:
            answer[line.stages[index].name] = Gain(line.stages[index].name, None, None, reason)
        return answer
    else:
        saved = single_stage_gains(line, begin, now, candidates, departures)
    for index, gained in saved.items():
        name = line.stages[index].name
        answer[name] = Gain(name, gained, throughput[name])
    return answer


def _is_coupled(line: Line, reports: dict[str, StageReport]) -> bool:
    return any(
        report.mean_blocked > 0 or line.sharing.partners(line.index[name], line.clock)
        for name, report in reports.items()
    )


def _whole_line_gains(line: Line, begin: float, now: float, stages: list[int]) -> dict[int, float]:
    model = model_of(line, begin)
    traces = traces_of(line, model, begin, now)
    speeds = [1.0] * len(line.stages)
    usual = replay(model, traces, begin=begin, end=now, speeds=speeds).flow_time
    saved = {}
    for index in stages:
        speeds[index] = FASTER
        saved[index] = usual - replay(model, traces, begin=begin, end=now, speeds=speeds).flow_time
        speeds[index] = 1.0
    return saved
