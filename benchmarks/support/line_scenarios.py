"""The lines of the bottleneck benchmark: what there is, and whether something limits the line at all."""

import math
from dataclasses import dataclass

from support.lines import Line, Spell, Stage

MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``changes``: when the bottleneck moves, in seconds. ``limited``: False where there is no bottleneck to name.

    ``limited_from``: before that there is none.
    """

    line: Line
    changes: tuple[float, ...] = ()
    limited: bool = True
    limited_from: float = 0.0
    minutes: float = 180.0


def _stages(
    *loads: float, per_minute: float = 12.0, workers: tuple[int, ...] = (), **more: object
) -> tuple[Stage, ...]:
    """Stages with the given utilisations at the given rate."""
    counts = workers or (1,) * len(loads)
    return tuple(
        Stage(mean=load * count * 60 / per_minute, workers=count, **more)  # type: ignore[arg-type]
        for load, count in zip(loads, counts, strict=True)
    )


def _with(stages: tuple[Stage, ...], number: int, **changes: object) -> tuple[Stage, ...]:
    from dataclasses import replace

    return tuple(replace(stage, **changes) if index == number else stage for index, stage in enumerate(stages))  # type: ignore[arg-type]


def _shift(*spans: tuple[int, float, float, float]) -> tuple[Spell, ...]:
    return tuple(
        Spell(stage=stage, begin=begin * MINUTE, end=end * MINUTE, factor=factor) for stage, begin, end, factor in spans
    )


_OUTAGES = tuple(
    Spell(stage=2, begin=begin * MINUTE, end=(begin + 8) * MINUTE, factor=math.inf) for begin in range(15, 180, 20)
)

SCENARIOS: dict[str, Scenario] = {
    "steady, in the middle": Scenario(line=Line(stages=_stages(0.5, 0.6, 0.95, 0.5), per_minute=12)),
    "steady, first": Scenario(line=Line(stages=_stages(0.94, 0.5, 0.6, 0.4, 0.5), per_minute=12)),
    "steady, last": Scenario(line=Line(stages=_stages(0.4, 0.6, 0.5, 0.96), per_minute=12)),
    "overload": Scenario(line=Line(stages=_stages(0.5, 1.12, 0.6, 0.5), per_minute=12)),
    "close second": Scenario(line=Line(stages=_stages(0.5, 0.88, 0.5, 0.95), per_minute=12)),
    "close second, many workers": Scenario(
        line=Line(stages=_stages(0.85, 0.5, 0.97, 0.5, workers=(1, 1, 5, 1)), per_minute=12)
    ),
    "many workers": Scenario(line=Line(stages=_stages(0.6, 0.97, 0.55, 0.6, workers=(1, 6, 1, 3)), per_minute=12)),
    "slow stage with many workers beside it": Scenario(
        line=Line(stages=_stages(0.6, 0.55, 0.95, workers=(2, 12, 1)), per_minute=12)
    ),
    "scattered service": Scenario(line=Line(stages=_with(_stages(0.5, 0.5, 0.85, 0.6), 2, spread=1.3), per_minute=12)),
    "shifting once": Scenario(
        line=Line(
            stages=_stages(0.5, 0.6, 0.5, 0.6), per_minute=12, spells=_shift((1, 0, 90, 1.62), (3, 90, 180, 1.65))
        ),
        changes=(90 * MINUTE,),
    ),
    "shifting twice": Scenario(
        line=Line(
            stages=_stages(0.55, 0.5, 0.6, 0.5),
            per_minute=15 * 0.8,
            spells=_shift((0, 0, 60, 1.75), (2, 60, 120, 1.6), (1, 120, 180, 1.95)),
        ),
        changes=(60 * MINUTE, 120 * MINUTE),
    ),
    "blocking, last": Scenario(
        line=Line(stages=_stages(0.5, 0.6, 0.6, 1.05, capacity=4), per_minute=12),
    ),
    "blocking, in the middle": Scenario(
        line=Line(stages=_stages(0.6, 0.5, 1.05, 0.6, 0.5, capacity=3), per_minute=12),
    ),
    "blocking, shifting": Scenario(
        line=Line(
            stages=_stages(0.5, 0.6, 0.5, 0.6, capacity=4),
            per_minute=12,
            spells=_shift((1, 0, 90, 1.7), (3, 90, 180, 1.75)),
        ),
        changes=(90 * MINUTE,),
    ),
    "blocking, no room between": Scenario(
        line=Line(stages=_with(_stages(0.5, 0.5, 0.95, 0.5, capacity=0), 0, capacity=None), per_minute=12),
    ),
    "batches": Scenario(line=Line(stages=_stages(0.4, 0.55, 0.9, 0.5), per_minute=12, batch=10)),
    "batches, blocking": Scenario(line=Line(stages=_stages(0.5, 0.5, 0.98, 0.5, capacity=5), per_minute=12, batch=8)),
    "outages": Scenario(
        line=Line(stages=_stages(0.5, 0.5, 0.56, 0.5), per_minute=12, spells=_OUTAGES),
    ),
    "shared workers": Scenario(
        line=Line(
            stages=_with(_with(_stages(0.5, 0.5, 0.5, 0.5), 1, pool="p", mean=3.0), 3, pool="p", mean=1.75),
            per_minute=12,
        )
    ),
    "pure delay": Scenario(line=Line(stages=(Stage(mean=30, workers=500), *_stages(0.5, 0.96, 0.6)), per_minute=12)),
    "retries": Scenario(line=Line(stages=_with(_stages(0.5, 0.72, 0.6, 0.5), 1, retry=0.25), per_minute=12)),
    "work-in-progress limit": Scenario(line=Line(stages=_stages(0.6, 0.95, 0.6, 0.5), per_minute=12, wip_limit=12)),
    "branches": Scenario(line=Line(stages=_with(_stages(0.5, 1.9, 0.6, 0.5), 1, skip=0.5), per_minute=12)),
    "rising load": Scenario(
        line=Line(stages=_stages(0.4, 0.45, 0.62, 0.4), per_minute=12, rates=((90 * MINUTE, 1.6),)),
        changes=(90 * MINUTE,),
        limited_from=90 * MINUTE,
    ),
    "undeclared": Scenario(
        line=Line(stages=_stages(0.5, 0.6, 0.95, 0.5, workers=(1, 2, 3, 1)), per_minute=12, declared=False)
    ),
    "none": Scenario(line=Line(stages=_stages(0.5, 0.45, 0.5, 0.4), per_minute=12), limited=False),
    "none, many workers": Scenario(
        line=Line(stages=_stages(0.6, 0.65, 0.5, 0.6, workers=(4, 6, 3, 8)), per_minute=12), limited=False
    ),
    "none, small queues": Scenario(
        line=Line(stages=_stages(0.45, 0.5, 0.45, 0.4, capacity=4), per_minute=12), limited=False
    ),
    "none, scattered": Scenario(line=Line(stages=_stages(0.35, 0.4, 0.35, spread=1.0), per_minute=12), limited=False),
}
