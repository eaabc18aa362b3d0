"""Local time: what is usual at nine in the morning stays so when the clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

UTC = "UTC"


class Zone:
    """A time zone of the IANA database, by name."""

    def __init__(self, name: str) -> None:
        """Find it.

        Raises:
            ValueError: there is none of that name.
        """
        try:
            self._zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone {name!r}: write a name such as Europe/Berlin, or UTC") from error
        self.name = name

    def offset(self, moment: float) -> int:
        """Seconds by which local time is ahead of UTC at a Unix time."""
        ahead = datetime.fromtimestamp(moment, self._zone).utcoffset()
        return 0 if ahead is None else round(ahead.total_seconds())


def moved(days: NDArray[np.floating], newest: int, blocks: int) -> None:
    """Move what a ring of days (days by blocks by series) holds to earlier blocks, across midnight too.

    When clocks go forward by n blocks, a local time comes n blocks earlier. What would come from after the newest day
    is NaN.
    """
    number = len(days)
    order = [(newest + 1 + place) % number for place in range(number)]
    line = days[order].reshape(-1, days.shape[-1])
    turned = np.full_like(line, np.nan)
    if blocks >= 0:
        turned[: len(line) - blocks] = line[blocks:]
    else:
        turned[-blocks:] = line[:blocks]
    days[order] = turned.reshape(number, *days.shape[1:])
