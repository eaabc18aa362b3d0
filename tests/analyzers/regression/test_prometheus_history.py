"""Reading history from a real Prometheus."""

import numpy as np
import pytest

from jelmon.errors import SourceError
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.timeseries.counters import rates

NOW = 1_700_438_400.0 + 9 * 86400
DAYS = 8


async def test_a_counter_is_read_as_a_rate_across_its_restart(prometheus: str) -> None:
    """One a second throughout, though the counter went back to 0."""
    async with PrometheusHistory(prometheus) as history:
        read = await history.read("work_total", start=NOW - DAYS * 86400, count=DAYS * 1440 + 1, step=60)
    [totals] = read.values()
    rate = rates(totals, 60)

    assert np.isnan(rate[0])
    assert rate[5000] == 0, "what the counter shows after a restart was counted since"
    assert np.delete(rate[1:], 4999).tolist() == [1.0] * (DAYS * 1440 - 1)


async def test_gaps_stay_gaps(prometheus: str) -> None:
    """Before the history began and after it ended there is nothing, rather than 0."""
    async with PrometheusHistory(prometheus) as history:
        read = await history.read("stage_seconds", start=NOW - DAYS * 86400 - 600, count=20, step=60)
    for values in read.values():
        assert np.isnan(values[:10]).all()
        assert np.isfinite(values[10:]).all()


async def test_a_refused_query_says_which_and_why(prometheus: str) -> None:
    """The message has the reason that Prometheus gave, the hint the query."""
    async with PrometheusHistory(prometheus) as history:
        with pytest.raises(SourceError, match=r"^Prometheus refused a query \(400\): ") as caught:
            await history.read("sum(", start=NOW, count=1, step=60)
    assert "sum(" in caught.value.hint
