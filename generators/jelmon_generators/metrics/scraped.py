"""What a Prometheus has scraped, as families of metrics: from its metadata and its series."""

import time
from typing import Any

from jelmon.errors import SourceError
from jelmon_generators.live.http_api import Api
from jelmon_generators.metrics.page import Family, Page, PageError, sample_of

_SPAN_SECONDS = 3600.0  # series of the last hour
_ADDED = frozenset({"__name__", "job", "instance"})


def scraped(server: Api, match: str) -> Page:
    """Return the families of every series that a selector matches.

    Raises:
        SourceError: the server does not answer, or has no such series.
    """
    now = time.time()
    fields = {"match[]": match, "start": f"{now - _SPAN_SECONDS:.3f}", "end": f"{now:.3f}"}
    series: list[dict[str, str]] = server.form("/api/v1/series", fields)["data"]
    if not series:
        raise SourceError(f"Prometheus has no series for {match} in the last hour", hint="--match '{job=\"...\"}'")
    metadata: dict[str, list[dict[str, Any]]] = server.get("/api/v1/metadata")["data"]
    page = Page()
    for name, entries in metadata.items():
        entry = entries[0]
        page.families[name] = Family(name, str(entry["type"]), str(entry["help"]), str(entry.get("unit", "")))
    seen: set[str] = set()
    for labels in series:
        name = labels["__name__"]
        own = {label: value for label, value in labels.items() if label not in _ADDED}
        try:
            seen.add(sample_of(page, name, own, 0).name)
        except PageError as error:
            raise SourceError(f"{name}: {error.reason}") from error
    page.families = {name: family for name, family in page.families.items() if name in seen}
    return page
