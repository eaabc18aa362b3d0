"""Local time: what is usual at nine in the morning stays usual at nine when clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = "UTC"


class Zone:
    """A time zone of the IANA database, by name."""

    def __init__(self, name: str) -> None:
        """Look up the zone.

        Raises:
            ValueError: no zone has that name.
        """
        try:
            self._zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone {name!r}: write a name such as Europe/Berlin, or UTC") from error
        self.name = name

    def offset(self, moment: float) -> int:
        """Return the seconds by which local time is ahead of UTC at a Unix time."""
        ahead = datetime.fromtimestamp(moment, self._zone).utcoffset()
        return 0 if ahead is None else round(ahead.total_seconds())
