"""Which rules these are, as a number that Prometheus records with them and the responder is told: it tells old ones."""

import hashlib
from collections.abc import Iterable

from jelmon_generators.compile.rules import Group, Recording
from jelmon_generators.promql.series import FINGERPRINT

GROUP = "rules-fingerprint"  # no signal can have this name


def fingerprint(groups: Iterable[Group]) -> int:
    """A number below 2**48 (a sample holds it exactly) that another set of rules does not have."""
    digest = hashlib.sha256()
    for group in groups:
        digest.update(repr((group.name, group.interval_seconds, group.limit, group.rules)).encode())
    return int.from_bytes(digest.digest()[:6])


def group(value: int, interval: float) -> Group:
    """The group that records it."""
    return Group(GROUP, (Recording(FINGERPRINT, f"vector({value})", {"instance": "all"}),), ("rules/",), (), interval)
