"""Who is notified: the routes of Alertmanager's configuration, followed for a set of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from jelmon_board.model.matchers import Matcher
from jelmon_board.model.samples import Labels

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route with those below it."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    goes_on: bool = False
    routes: tuple["Route", ...] = field(default=())

    def receivers(self, labels: Labels) -> list[str]:
        """Return the receivers of an alert with these labels; empty if the route is not for it."""
        if not all(matcher.fits(labels) for matcher in self.matchers):
            return []
        found: list[str] = []
        for route in self.routes:
            below = route.receivers(labels)
            found += [name for name in below if name not in found]
            if below and not route.goes_on:
                break
        return found or [self.receiver]


def read_routes(text: str) -> Route | None:
    """Return the root route of a configuration; None if it is not one that can be read."""
    try:
        config = yaml.load(text, Loader=_LOADER)
        return _route(config["route"], "", 0)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def _route(node: Mapping[str, Any], receiver: str, depth: int) -> Route:
    if depth > _DEEPEST:
        raise ValueError("routes are nested too deep")
    own = str(node.get("receiver") or receiver)
    matchers = [Matcher.parse(str(text)) for text in _list(node.get("matchers"))]
    for old, is_regex in (("match", False), ("match_re", True)):
        matchers += [Matcher(str(name), str(value), is_regex) for name, value in (node.get(old) or {}).items()]
    if None in matchers:
        raise ValueError("a matcher cannot be read")
    return Route(
        receiver=own,
        matchers=tuple(matcher for matcher in matchers if matcher is not None),
        goes_on=bool(node.get("continue")),
        routes=tuple(_route(child, own, depth + 1) for child in node.get("routes") or ()),
    )


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value] if value else []
