"""The identity of a set of rules, as a number that Prometheus records: the responder detects outdated rules by it."""

import hashlib
from collections.abc import Iterable

from jelmon_generators.compile.rules import Group, Recording
from jelmon_generators.promql.series import FINGERPRINT

GROUP = "rules-fingerprint"  # no signal can have this name


def fingerprint(groups: Iterable[Group]) -> int:
    """Return a number below 2**48, which a sample holds exactly, that identifies this set of rules."""
    digest = hashlib.sha256()
    for group in groups:
        digest.update(repr((group.name, group.interval_seconds, group.limit, group.rules)).encode())
    return int.from_bytes(digest.digest()[:6])


def group(value: int, interval: float) -> Group:
    """Return the group that records the number."""
    return Group(GROUP, (Recording(FINGERPRINT, f"vector({value})", {"instance": "all"}),), ("rules/",), (), interval)
