"""What an objective counts: events, with two counters, or minutes, with a signal and a threshold.

Events are counted once a minute over five minutes, so each is in five counts; a minute is counted once. Events during
maintenance of what the objective is grouped by are excluded, good and bad.
"""

from dataclasses import dataclass

from jelmon.catalogue import BY_SERIES
from jelmon_generators.compile import maintenance
from jelmon_generators.model.definitions import Slo
from jelmon_generators.promql.aggregations import occurrences
from jelmon_generators.promql.expressions import number

_LOOKBACK = "5m"


@dataclass(frozen=True, slots=True)
class Counts:
    """The two counts of an objective."""

    slo: Slo

    @property
    def noun(self) -> str:
        """What is counted: events or minutes."""
        return "minutes" if self.slo.condition else "events"

    @property
    def each_counted(self) -> int:
        """In how many of the one-minute evaluations the same event is counted."""
        return 1 if self.slo.condition else 5

    @property
    def valid_name(self) -> str:
        """The signal that counts all of them."""
        return f"slo_{self.slo.name}_valid_{self._step}"

    @property
    def bad_name(self) -> str:
        """The signal that counts the bad ones."""
        return f"slo_{self.slo.name}_bad_{self._step}"

    @property
    def valid_field(self) -> str:
        """The field that says what is counted."""
        return "metric_path" if self.slo.condition else "valid"

    @property
    def bad_field(self) -> str:
        """The field that says what is bad, if that is another one."""
        return "" if self.slo.condition else "bad"

    @property
    def valid_judged(self) -> str:
        """The PromQL that counts all of them, in maintenance or not."""
        slo = self.slo
        if slo.condition is None:
            return self._events(slo.valid)
        # a percentile of nothing is NaN: not a value, so the minute is not counted
        return f"group by ({self._grouping}) (jelmore:{slo.condition.signal} >= -Inf)"

    @property
    def valid(self) -> str:
        """The PromQL that counts all of them."""
        return self.valid_judged + maintenance.excluded(self.slo.by, _LOOKBACK)

    @property
    def bad_judged(self) -> str:
        """The PromQL that counts the bad ones, in maintenance or not."""
        slo = self.slo
        if slo.condition is None:
            return self._events(slo.bad)
        limit = f"{slo.condition.operator.symbol} {number(slo.condition.threshold)}"
        return f"group by ({self._grouping}) (jelmore:{slo.condition.signal} {limit})"

    @property
    def bad(self) -> str:
        """The PromQL that counts the bad ones, 0 where there are none."""
        return (
            f"{self.bad_judged}\nand on ({self._grouping}) jelmore:{self.valid_name}\n"
            f"or max without (instance) (jelmore:{self.valid_name}) * 0"
        )

    def _events(self, counter: str) -> str:
        """Return PromQL for the events of a counter: with the first one of a new series, which may be the news."""
        metric = BY_SERIES.get(counter.split("{")[0])
        return occurrences(counter, _LOOKBACK, metric.service if metric else None, f"by ({self._grouping})")

    @property
    def _step(self) -> str:
        return "1m" if self.slo.condition else _LOOKBACK

    @property
    def _grouping(self) -> str:
        return ", ".join(sorted({"job", *self.slo.by}))
