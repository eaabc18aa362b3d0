"""Attribution: which waits, runs, retries, tests and hosts make the slow cards slow."""

from jelmon_analyzers.attribution.tail import Attribution, Driver, attribute

__all__ = ["Attribution", "Driver", "attribute"]
