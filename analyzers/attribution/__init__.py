"""Attribution: which stages, waits, retries and tests make the slow cards slow."""

from jelmon.analyzers.attribution.tail import Attribution, Driver, attribute

__all__ = ["Attribution", "Driver", "attribute"]
