"""The states of alerts over time, as Prometheus keeps them: inactive, pending, firing."""

import math

import numpy as np

from jelmon_history.columns import Floats, Labels

ALERTS = "ALERTS"
SINCE = "ALERTS_FOR_STATE"


class AlertStates:
    """The states of the alerts of one rule, fed piece by piece; each piece is an array over its moments."""

    def __init__(self, *, for_seconds: float, keep_firing_seconds: float) -> None:
        self._for = for_seconds
        self._keep = keep_firing_seconds
        self._since: dict[Labels, float] = {}
        self._fired_at: dict[Labels, float] = {}  # when the expression of a firing alert last had a result

    def states(self, times: Floats, results: dict[Labels, Floats]) -> dict[Labels, tuple[Floats, Floats, Floats]]:
        """Return for each alert where it is pending and where it fires (1, else NaN), and since when it is active."""
        silent = np.full(len(times), np.nan)
        return {labels: self._states(labels, times, results.get(labels, silent)) for labels in {*results, *self._since}}

    def _states(self, labels: Labels, times: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
        pending, firing, active = (np.full(len(times), np.nan) for _ in range(3))
        since, fired_at = self._since.get(labels, math.nan), self._fired_at.get(labels, math.nan)
        for index, (time, value) in enumerate(zip(times.tolist(), values.tolist(), strict=True)):
            if not math.isnan(value):
                since = time if math.isnan(since) else since
                if time - since >= self._for:
                    fired_at = time
            elif math.isnan(fired_at) or time - fired_at >= self._keep:
                since = fired_at = math.nan
            if not math.isnan(since):
                (pending if math.isnan(fired_at) else firing)[index] = 1.0
                active[index] = since
        for kept, moment in ((self._since, since), (self._fired_at, fired_at)):
            if math.isnan(moment):
                kept.pop(labels, None)
            else:
                kept[labels] = moment
        return pending, firing, active
