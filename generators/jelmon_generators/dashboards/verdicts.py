"""What a panel over an analyzer's verdict shows when there is none: why, as far as that is known."""

from jelmon.catalogue import ANALYZER_SKIPPED, ANALYZER_SUCCESS
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import GREY, Json, value_map

ANALYZER_MISSING = "analyzer missing"
NO_VERDICT = "analyzer missing, or no verdict in this time range"
EXPLAINED = (
    'Without a verdict the reason is shown. "analyzer missing": none runs, or the chosen job or instance excludes it.'
)
WITHHELD: list[Json] = value_map({"-1": ("no verdict", GREY)})
"""The mapping for the value -1 of ``or_reason``."""


def or_reason(verdict: str, analyzer: str, *, label: str) -> str:
    """Return a verdict; while the analyzer is up without one, -1 with the reason in ``label``.

    The reason is the one for which the analyzer skipped most in the last quarter of an hour.
    """
    skipped = queries.increase(ANALYZER_SKIPPED, queries.WINDOW, by=("reason",), analyzer=analyzer)
    reason = f'label_replace(topk(1, {skipped} > 0) * 0 - 1, "{label}", "$1", "reason", "(.+)")'
    alive = f"0 * max({queries.select(ANALYZER_SUCCESS, analyzer=analyzer)}) - 1"
    return f'{verdict} or on () {reason} or on () label_replace({alive}, "{label}", "no reason given", "", "")'
