"""The functions that a template may call, with how many arguments each accepts."""

from collections.abc import Mapping

Arity = tuple[int, int | None]
_MANY = None

BUILT_IN: Mapping[str, Arity] = {
    "and": (1, _MANY),
    "call": (1, _MANY),
    "eq": (2, _MANY),
    "ge": (2, 2),
    "gt": (2, 2),
    "html": (1, _MANY),
    "index": (1, _MANY),
    "js": (1, _MANY),
    "le": (2, 2),
    "len": (1, 1),
    "lt": (2, 2),
    "ne": (2, 2),
    "not": (1, 1),
    "or": (1, _MANY),
    "print": (0, _MANY),
    "printf": (1, _MANY),
    "println": (0, _MANY),
    "slice": (1, 4),
    "urlquery": (1, _MANY),
}
"""Functions of Go itself."""
PROMETHEUS: Mapping[str, Arity] = {
    **BUILT_IN,
    "args": (0, _MANY),
    "externalURL": (0, 0),
    "first": (1, 1),
    "graphLink": (1, 1),
    "humanize": (1, 1),
    "humanize1024": (1, 1),
    "humanizeDuration": (1, 1),
    "humanizePercentage": (1, 1),
    "humanizeTimestamp": (1, 1),
    "label": (2, 2),
    "match": (2, 2),
    "parseDuration": (1, 1),
    "pathPrefix": (0, 0),
    "query": (1, 1),
    "reReplaceAll": (3, 3),
    "safeHtml": (1, 1),
    "sortByLabel": (2, 2),
    "stripDomain": (1, 1),
    "stripPort": (1, 1),
    "strvalue": (1, 1),
    "tableLink": (1, 1),
    "title": (1, 1),
    "toLower": (1, 1),
    "toTime": (1, 1),
    "toUpper": (1, 1),
    "value": (1, 1),
}
"""Functions in the annotations of an alert, from the oldest supported Prometheus on."""


class AnyFunction(dict[str, Arity]):
    """Accepts any function: which ones Alertmanager has depends on its version, and amtool checks that."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Arity:
        return 0, None
