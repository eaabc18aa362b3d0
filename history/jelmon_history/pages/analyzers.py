"""The page of the analyzers that read events: bottlenecks, attribution, suggestions and health."""

from jelmon.catalogue import ANALYZER_SUCCESS, Service
from jelmon.events import Event
from jelmon_analyzers.event_analyzers.service import EventAnalyzers
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings
from jelmon_analyzers.follow import NOUNS
from jelmon_history.columns import Columns
from jelmon_history.pages.instruments import ColumnInstruments
from jelmon_history.target import Target

ATTRIBUTION_SECONDS = 86400.0
"""How often attribution is computed anew: it takes half a second, and only its newest result is looked at."""


class AnalyzerPage:
    """Runs the analyzers at simulated times, wired as the service wires them."""

    def __init__(self, columns: Columns, target: Target, settings: EventAnalyzersSettings) -> None:
        self._instruments = ColumnInstruments(Service.ANALYZER, columns, target)
        self._analyzers = EventAnalyzers(settings, self._instruments, health=True)
        self._attribution_due = 0.0

    def observe(self, event: Event) -> None:
        """Pass on an event, if it is of a kind that the analyzers subscribe to."""
        if _is_followed(type(event)):
            self._analyzers.bottleneck.observe(event)

    def cycle(self, now: float, *, last: bool = False) -> None:
        """Analyze as of ``now``. ``last``: also attribute, so that the newest result is of the end."""
        if last or now >= self._attribution_due:
            self._attribution_due = now + ATTRIBUTION_SECONDS
            self._analyzers.attribution.recompute()
        self._analyzers.bottleneck.analyze(now)

    def live(self, now: float) -> None:
        """Report that the analyzers ran just now, as they do every few seconds: only here they run less often."""
        for name in _NAMES:
            self._instruments.set(ANALYZER_SUCCESS, now, analyzer=name)


_NAMES = ("bottleneck", "health")
_followed: dict[type, bool] = {}


def _is_followed(kind: type[Event]) -> bool:
    known = _followed.get(kind)
    if known is None:
        known = _followed[kind] = str(kind.__struct_config__.tag).split(".")[1] in NOUNS
    return known
