"""What an objective counts: events, by two counters, or minutes, by a signal that is compared with a threshold.

Events are counted in five-minute steps once a minute, so that each is in five counts; a minute is counted once. What
happens in maintenance of the thing that is counted by is left out, bad and good.
"""

from dataclasses import dataclass

from jelmon_generators.compile import maintenance
from jelmon_generators.model.definitions import Slo
from jelmon_generators.promql.expressions import number

_LOOKBACK = "5m"


@dataclass(frozen=True, slots=True)
class Counts:
    """The two things that are counted for an objective."""

    slo: Slo

    @property
    def noun(self) -> str:
        """What is counted."""
        return "minutes" if self.slo.condition else "events"

    @property
    def each_counted(self) -> int:
        """How many of the one-minute evaluations count the same event."""
        return 1 if self.slo.condition else 5

    @property
    def valid_name(self) -> str:
        """The signal that counts all."""
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
        """The field that says what is bad, if it is another one."""
        return "" if self.slo.condition else "bad"

    @property
    def valid(self) -> str:
        """PromQL of all."""
        slo = self.slo
        if slo.condition is None:
            text = f"sum by ({self._grouping}) (max without (instance, pod) (increase({slo.valid}[{_LOOKBACK}])))"
        else:
            # a percentile of nothing is NaN: no value, and no minute
            text = f"group by ({self._grouping}) (jelmore:{slo.condition.signal} >= -Inf)"
        return text + maintenance.excluded(slo.by, _LOOKBACK)

    @property
    def bad(self) -> str:
        """PromQL of the bad ones, 0 where there is none."""
        slo = self.slo
        if slo.condition is None:
            text = f"sum by ({self._grouping}) (max without (instance, pod) (increase({slo.bad}[{_LOOKBACK}])))"
        else:
            limit = f"{slo.condition.operator.symbol} {number(slo.condition.threshold)}"
            text = f"group by ({self._grouping}) (jelmore:{slo.condition.signal} {limit})"
        return (
            f"{text}\nand on ({self._grouping}) jelmore:{self.valid_name}\n"
            f"or max without (instance) (jelmore:{self.valid_name}) * 0"
        )

    @property
    def _step(self) -> str:
        return "1m" if self.slo.condition else _LOOKBACK

    @property
    def _grouping(self) -> str:
        return ", ".join(sorted({"job", *self.slo.by}))
